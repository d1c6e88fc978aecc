import asyncio
import logging

import pytest
from prometheus_client import REGISTRY

from events.errors import BusUnavailable, StreamFull, StreamMissing
from events.patience import Patience, Stopped


class Step:
    """Fails as often as it is given errors, then says how often it was called."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def patience(**options):
    return Patience("test", 0.001, longest_seconds=0.002, **options)


def waiting():
    return REGISTRY.get_sample_value("steps_waiting", {"step": "test"})


async def test_a_step_is_repeated_until_what_it_needs_is_back():
    assert await patience().insist(Step(BusUnavailable("away"), StreamFull("full"))) == 3


async def test_what_asking_again_does_not_help_against_is_raised():
    with pytest.raises(StreamMissing):
        await patience().insist(Step(StreamMissing("no such stream")))


async def test_what_is_waited_for_can_be_named():
    assert await patience(waits_for=(StreamMissing,)).insist(Step(StreamMissing("not yet"))) == 2


async def test_a_stop_ends_the_wait_and_says_what_was_waited_for():
    stop = asyncio.Event()
    stop.set()
    step = Step(*[BusUnavailable("away")] * 9)
    with pytest.raises(Stopped, match="away"):
        await Patience("test", 60, stop=stop).insist(step)
    assert step.calls == 1


async def test_long_work_notices_a_stop():
    stop = asyncio.Event()
    patient = patience(stop=stop)
    patient.go_on_unless_stopped()
    stop.set()
    with pytest.raises(Stopped):
        patient.go_on_unless_stopped()


async def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success():
    patient = Patience("test", 1.0, longest_seconds=5.0)
    pauses = []
    for patient.failures in (1, 2, 3, 4):
        pauses.append(patient.pause_seconds)
    assert pauses == [1.0, 2.0, 4.0, 5.0]
    patient.succeeded()
    assert patient.failures == 0


async def test_the_reason_is_said_once_and_the_end_of_the_wait_too(caplog):
    caplog.set_level(logging.WARNING)
    await patience(told_as="batch 3").insist(Step(*[StreamFull("no room")] * 3))
    assert [record.getMessage() for record in caplog.records] == [
        "batch 3 failed and will be tried again: StreamFull: no room",
        "batch 3 works again after 3 failures",
    ]


async def test_a_gauge_shows_who_waits():
    patient = patience()
    await patient.wait(StreamFull("no room"))
    assert waiting() == 1
    patient.succeeded()
    assert waiting() == 0


async def test_tasks_that_share_a_patience_wait_the_same_failure_out_together():
    patient = Patience("test", 0.05)
    await asyncio.gather(*(patient.wait(StreamFull("no room")) for _ in range(5)))
    assert patient.failures == 1
