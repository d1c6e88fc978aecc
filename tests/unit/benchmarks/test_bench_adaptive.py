"""What the part `adaptive` compares."""

from pathlib import Path

import pytest

from benchmarks.campaigns import adaptive
from benchmarks.campaigns.adaptive import PLANS


def result(name, seconds, deferrals, repeated=0):
    return {"name": name, "seconds": seconds, "deferrals": deferrals, "accepted_more_than_once": repeated}


def test_providers_get_as_many_mails_as_they_bear():
    assert adaptive.shares(15_000) == {"gmail": 5000, "microsoft": 2000, "yahoo": 2000, "apple": 1000, "other": 5000}


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_every_time_of_a_sender_runs_faster(plan):
    sender = adaptive.settings_for(plan, 25, "nats://127.0.0.1:4222", Path(), 20).sender
    assert (sender.adaptive.window_seconds, sender.adaptive.recovery_seconds) == (1.0, 30.0)
    assert sender.retry.throttled_base_seconds == 3.0
    assert sender.adaptive.enabled == plan.name.startswith("adaptive")
    assert bool(sender.pools["default"].lanes) == (plan.times is not None)


def test_adapting_has_to_be_faster_and_to_put_fewer_mails_off():
    campaigns = [result("adaptive, too fast", 50, 100), result("fixed, too fast", 90, 9_000)]
    assert adaptive.missed({"campaigns": campaigns}) == []
    campaigns[0] = result("adaptive, too fast", 90, 9_001)
    assert adaptive.missed({"campaigns": campaigns}) == [
        "adaptive, too fast: 90 seconds, no fewer than fixed, too fast with 90",
        "adaptive, too fast: 9,001 deferrals, no fewer than fixed, too fast with 9,000",
    ]


def test_a_mail_that_was_taken_twice_breaks_a_promise():
    broken = {"campaigns": [result("fixed, known", 50, 0, 1)]}
    assert adaptive.missed(broken) == ["fixed, known: 1 mails were taken more than once"]
    assert adaptive.PART.failed(broken)
