"""Whether a campaign's mails may be sent now."""

import pytest

from events.schemas import Campaign
from sender import admission
from sender.admission import Drop, Expire, Hold, Send

NOW = 1_800_000_000.0


def campaign(status, deadline=None, **more):
    return Campaign("c", "C", status, "main", "b@example.com", NOW, deadline=deadline, **more)


@pytest.mark.parametrize(
    ("status", "admitted"),
    [("planning", Send()), ("running", Send()), ("finished", Send()), ("paused", Hold()), ("cancelled", Drop())],
)
def test_the_status_decides(status, admitted):
    assert admission.decide(campaign(status), NOW) == admitted


def test_nothing_is_sent_from_the_deadline_on():
    assert admission.decide(campaign("running", deadline=NOW + 0.1), NOW) == Send()
    assert admission.decide(campaign("running", deadline=NOW), NOW) == Expire()


@pytest.mark.parametrize(("status", "admitted"), [("paused", Hold()), ("cancelled", Drop())])
def test_pausing_and_cancelling_come_before_the_deadline(status, admitted):
    assert admission.decide(campaign(status, deadline=NOW - 1), NOW) == admitted


@pytest.mark.parametrize("deadline", [None, NOW - 1, NOW + 2])
@pytest.mark.parametrize("starts_at", [NOW - 1, NOW, NOW + 1])
@pytest.mark.parametrize("status", ["planning", "running", "finished"])
def test_a_scheduled_campaign_is_held_until_it_is_let_go_whatever_the_time(status, starts_at, deadline):
    assert admission.decide(campaign(status, deadline, starts_at=starts_at), NOW) == Hold()


def test_a_campaign_that_was_let_go_is_sent_like_any_other():
    started = {"starts_at": NOW - 1, "started_at": NOW}
    assert admission.decide(campaign("running", **started), NOW) == Send()
    assert admission.decide(campaign("running", NOW, **started), NOW) == Expire()
    assert admission.decide(campaign("cancelled", starts_at=NOW + 1), NOW) == Drop()
