import msgspec
import pytest

from events.ledger import Ledger

SETTLED = Ledger(planned=21, accepted=1, bounced=2, failed=3, suppressed=4, expired=5, cancelled=6, in_doubt=0)


def test_a_ledger_with_everyone_settled_is_balanced():
    assert SETTLED.settled == SETTLED.planned
    assert SETTLED.balanced


def test_an_empty_ledger_is_balanced():
    assert Ledger().balanced


@pytest.mark.parametrize(
    "change",
    [{"planned": 22}, {"planned": 20}, {"planned": 22, "queued": 1}, {"planned": 22, "retrying": 1}, {"in_doubt": 1}],
)
def test_a_ledger_with_someone_missing_or_twice_or_under_way_is_not_balanced(change):
    assert not msgspec.structs.replace(SETTLED, **change).balanced


def test_a_running_campaign_is_consistent_while_queued_and_retrying_make_up_the_rest():
    running = msgspec.structs.replace(SETTLED, planned=30, queued=5, retrying=4)
    assert running.consistent
    assert not running.balanced


def test_an_outcome_stated_twice_shows_as_a_negative_queue():
    assert not msgspec.structs.replace(SETTLED, planned=20, queued=-1).consistent


@pytest.mark.parametrize("field", ["accepted", "bounced", "failed", "suppressed", "expired", "cancelled", "in_doubt"])
def test_every_final_outcome_counts_as_settled(field):
    assert Ledger(planned=1, **{field: 1}).balanced
