"""What a sender says while it waits."""

import logging

import pytest
from prometheus_client import REGISTRY

from events.errors import BusUnavailable, StreamMissing
from sender.errors import DictionaryMissing
from sender.patience import LONG_IN_COMING, Expectant

NOT_YET = DictionaryMissing("no mail of spring is rendered yet")


def errors_counted() -> float:
    return REGISTRY.get_sample_value("sender_errors_total", {"step": "feed"}) or 0.0


@pytest.fixture
def said(caplog):
    """What was logged for operators so far."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


async def test_what_a_launch_is_about_to_make_is_waited_for_in_silence(said):
    before, expected = errors_counted(), Expectant("spring", 0.0001)
    for error in (NOT_YET, StreamMissing("no such lane"), NOT_YET):
        await expected.wait(error)
    expected.succeeded()
    assert said() == []
    assert errors_counted() == before


async def test_what_is_long_in_coming_is_said_once_and_that_it_came(said):
    expected = Expectant("spring", 0.0001)
    for _ in range(LONG_IN_COMING + 1):
        await expected.wait(NOT_YET)
    expected.succeeded()
    expected.succeeded()
    assert said() == [
        f"waiting for the first mails of campaign spring: do producers run? ({NOT_YET})",
        "campaign spring is there",
    ]


async def test_a_failure_is_one_from_the_first(said):
    before, expected = errors_counted(), Expectant("spring", 0.0001)
    await expected.wait(BusUnavailable("away"))
    assert said() == ["feed failed and will be tried again: BusUnavailable: away"]
    assert errors_counted() == before + 1
