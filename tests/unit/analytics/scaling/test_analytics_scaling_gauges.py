"""A decision in metrics."""

import threading
from math import inf

import pytest
from prometheus_client import REGISTRY

from analytics.scaling import gauges
from analytics.scaling.decision import Decision, Limited
from events import metrics


def decision(**changed):
    usual = {"at": 1.0, "wanted": 3, "reason": "deadline", "why": "", "alive": 2, "needed": 3, "late_seconds": {}}
    return Decision(**usual | changed)


def shown(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


@pytest.fixture(autouse=True)
def nothing_shown():
    gauges.hide()


def test_what_a_decision_names_is_shown_and_what_it_names_no_more_is_not():
    gauges.show(decision(late_seconds={"a": 5.0, "b": None}, limited=(Limited("a", "main.gmail", 90.0),)))
    assert (shown("senders_wanted", reason="deadline"), shown("senders_alive")) == (3, 2)
    assert shown("campaign_deadline_risk_seconds", campaign="a") == 5.0
    assert shown("campaign_deadline_risk_seconds", campaign="b") == inf
    assert shown("sending_limited", by="main.gmail") == 1
    gauges.show(decision(reason="idle", wanted=0, late_seconds={"a": 0.0}))
    assert (shown("senders_wanted", reason="deadline"), shown("senders_wanted", reason="idle")) == (None, 0)
    assert shown("campaign_deadline_risk_seconds", campaign="a") == 0.0
    assert shown("campaign_deadline_risk_seconds", campaign="b") is None
    assert shown("sending_limited", by="main.gmail") is None


def test_whoever_asks_meanwhile_never_finds_nothing():
    done = threading.Event()
    found = []

    def ask():
        while not done.is_set():
            (family,) = metrics.SENDERS_WANTED.collect()
            found.append(len(family.samples))

    gauges.show(decision())
    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(2_000):
        gauges.show(decision(reason="idle" if number % 2 else "deadline"))
    done.set()
    asking.join()
    assert found
    assert 0 not in found


def test_nothing_is_shown_where_nothing_can_be_said():
    gauges.show(decision(late_seconds={"a": 5.0}))
    gauges.hide()
    assert shown("senders_wanted", reason="deadline") is None
    assert shown("campaign_deadline_risk_seconds", campaign="a") is None
