"""Whether a campaign's mails may be sent now."""

import pytest

from events.schemas import Campaign
from sender import admission
from sender.admission import Drop, Expire, Hold, Send

NOW = 1_800_000_000.0


def campaign(status, deadline=None):
    return Campaign("c", "C", status, "main", "b@example.com", NOW, deadline=deadline)


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
