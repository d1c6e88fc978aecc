import msgspec
import pytest

from analytics.closing import Close, decide
from events.ledger import Ledger
from events.schemas import Campaign

CAMPAIGN = Campaign("spring", "Spring", "running", "main", "bounces@example.com", created_at=0.0, planned=10)
DONE = Ledger(planned=10, accepted=9, failed=1)
OPEN = Ledger(planned=10, accepted=7, retrying=1, queued=2)


def campaign(**changes):
    return msgspec.structs.replace(CAMPAIGN, **changes)


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_campaign_is_finished_when_every_recipient_has_an_outcome(status):
    assert decide(campaign(status=status), DONE, left=0, quiet=False) == Close("finished", 0)


def test_a_campaign_with_open_recipients_stays_open():
    assert decide(CAMPAIGN, OPEN, left=0, quiet=True) is None


def test_a_campaign_with_anything_in_a_queue_stays_open():
    assert decide(CAMPAIGN, DONE, left=1, quiet=True) is None


@pytest.mark.parametrize("planned", [None, 11])
def test_a_campaign_whose_planned_recipients_are_not_all_known_stays_open(planned):
    assert decide(campaign(planned=planned), DONE, left=0, quiet=True) is None


@pytest.mark.parametrize("status", ["planning", "finished"])
def test_what_is_being_planned_or_has_ended_is_left_alone(status):
    assert decide(campaign(status=status), DONE, left=0, quiet=True) is None


def test_what_was_closed_is_left_alone():
    assert decide(campaign(status="cancelled", finished_at=5.0), OPEN, left=0, quiet=True) is None


def test_a_cancelled_campaign_counts_what_has_no_outcome_as_cancelled():
    assert decide(campaign(status="cancelled"), OPEN, left=0, quiet=True) == Close("cancelled", 3)


def test_a_cancelled_campaign_waits_for_what_senders_still_hold():
    assert decide(campaign(status="cancelled"), OPEN, left=0, quiet=False) is None


def test_closing_a_cancelled_campaign_again_states_the_same_number():
    stated = Ledger(planned=10, accepted=7, cancelled=3)
    assert decide(campaign(status="cancelled"), stated, left=0, quiet=True) == Close("cancelled", 3)
