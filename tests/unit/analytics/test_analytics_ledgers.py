from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from analytics import ledgers
from analytics.ledgers import Plan

FIRST_OR_ONLY = ["accepted", "bounced", "failed", "expired", "in_doubt"]


@st.composite
def histories(draw):
    """What may happen to one mail: deferrals, a final outcome or none yet, and after doubt or giving up perhaps another try."""
    history = ["deferred"] * draw(st.integers(0, 3))
    history += draw(st.sampled_from([[], *([outcome] for outcome in FIRST_OR_ONLY)]))
    if history and history[-1] in {"in_doubt", "failed"} and draw(st.booleans()):
        history += draw(
            st.sampled_from([["requeued"], ["deferred"], ["accepted"], ["deferred", "accepted"], ["bounced"]])
        )
    return history


def count(history_list):
    return Counter((kind, attempt > 1) for history in history_list for attempt, kind in enumerate(history, 1))


@given(st.lists(histories(), max_size=40))
def test_sums_and_contested_mails_give_the_ledger_that_counting_every_mail_gives(mails):
    plan = Plan(planned=len(mails))
    contested = [history for history in mails if {"in_doubt", "failed"} & set(history)]
    from_counts = ledgers.from_counts(
        plan, count(mails), count(contested), Counter(history[-1] for history in contested)
    )
    assert from_counts == ledgers.from_states(plan, Counter(history[-1] for history in mails if history))
    assert from_counts.consistent


def test_a_mail_that_was_accepted_at_its_second_attempt_is_not_retrying_any_more():
    ledger = ledgers.from_counts(Plan(planned=2), {("deferred", False): 2, ("accepted", True): 1}, {}, {})
    assert (ledger.accepted, ledger.retrying, ledger.queued) == (1, 1, 0)


def test_what_has_no_outcome_is_queued():
    assert ledgers.from_states(Plan(planned=10), {"accepted": 4, "deferred": 1}).queued == 5


def test_in_a_cancelled_campaign_waiting_retries_are_among_the_cancelled():
    ledger = ledgers.from_states(Plan(planned=10, cancelled=6, closed=True), {"accepted": 4, "deferred": 2})
    assert ledger.balanced
    assert ledger.retrying == 0


def test_an_outcome_stated_twice_shows_as_inconsistent():
    assert not ledgers.from_counts(Plan(planned=1), {("accepted", False): 2}, {}, {}).consistent


def test_rows_are_told_apart_by_campaign():
    assert ledgers.plan_of("b", [("a", 1, 0, 0), ("b", 2, 1, 1)]) == Plan(2, 1, closed=True)
    assert ledgers.plan_of("c", []) == Plan()
    assert ledgers.counts_of("b", [("a", "failed", 0, 3), ("b", "accepted", 1, 2)]) == {("accepted", True): 2}


def test_what_contested_mails_contribute_is_told_from_their_histories():
    rows = [
        ("a", "failed", [("failed", 0)], 9),
        ("b", "accepted", [("in_doubt", 0), ("accepted", 1)], 3),
        ("b", "accepted", [("failed", 1), ("accepted", 1)], 2),
    ]
    counts, states = ledgers.contested_of("b", rows)
    assert counts == {("in_doubt", False): 3, ("accepted", True): 5, ("failed", True): 2}
    assert states == {"accepted": 5}
