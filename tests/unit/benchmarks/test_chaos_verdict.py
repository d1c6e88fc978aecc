"""The judge of the chaos runs sees what it is there to see."""

import msgspec
import pytest

from benchmarks.chaos import verdict
from benchmarks.chaos.truth import Stated, Truth
from events.ledger import Ledger

PLAN = frozenset({"a", "b", "c"})


def stated(*outcomes):
    """Outcomes as `mail/attempt/kind`."""
    split = (outcome.split("/") for outcome in outcomes)
    return [
        Stated(number, mail, int(attempt), kind, "gmail", 250)
        for number, (mail, attempt, kind) in enumerate(split, start=1)
    ]


def truth(*outcomes, taken=("a", "b"), ledger=None):
    """A truth in which everybody agrees on these outcomes."""
    facts = stated(*outcomes)
    kinds = [fact.kind for fact in facts]
    return Truth(
        taken={mail: taken.count(mail) for mail in taken},
        stated=facts,
        planned=3,
        closed=True,
        ledger=ledger or Ledger(planned=3, accepted=2, bounced=1),
        in_clickhouse=facts,
        by_provider={
            "gmail": {kind: kinds.count(kind) for kind in ("accepted", "deferred", "bounced", "failed", "in_doubt")}
        },
        failures=len(kinds) - kinds.count("accepted"),
        latencies=kinds.count("accepted"),
    )


GOOD = truth("a/1/accepted", "b/1/deferred", "b/2/accepted", "c/1/bounced")


def judge(found, policy="at_most_once", doubts_at_most=0):
    return verdict.judge(PLAN, found, policy, doubts_at_most)


def test_a_campaign_in_which_everybody_agrees_breaks_nothing():
    judged = judge(GOOD)
    assert (judged.broken, judged.balanced, judged.clickhouse_equal) == ([], True, True)


@pytest.mark.parametrize(
    "outcomes", [("a/1/accepted", "b/1/accepted"), ("a/1/accepted", "b/1/accepted", "c/1/deferred")]
)
def test_a_mail_without_a_final_state_is_lost(outcomes):
    assert judge(truth(*outcomes)).lost == ["c"]


def test_a_mail_called_accepted_that_nobody_took_is_lost():
    assert judge(msgspec.structs.replace(GOOD, taken={"a": 1})).lost == ["b"]


def test_a_mail_that_was_taken_is_accepted_or_was_in_doubt():
    assert judge(msgspec.structs.replace(GOOD, taken={"a": 1, "b": 1, "c": 1})).broken == [
        "1 mails taken that are stated otherwise"
    ]


def test_a_mail_taken_twice_is_a_duplicate_and_silent_unless_it_was_in_doubt():
    judged = judge(msgspec.structs.replace(GOOD, taken={"a": 2, "b": 1}))
    assert (judged.duplicated, judged.silent) == (["a"], ["a"])
    assert judged.broken == ["1 mails twice", "1 mails silently twice"]


def test_at_least_once_allows_duplicates_of_mails_that_were_in_doubt():
    found = truth("a/1/in_doubt", "a/2/accepted", "b/1/accepted", "c/1/bounced", taken=("a", "a", "b"))
    assert judge(found, "at_least_once").broken == []
    assert judge(found, "at_most_once").broken == ["1 mails twice"]


def test_an_outcome_that_is_known_beats_a_doubt_of_the_same_attempt():
    assert judge(truth("a/1/in_doubt", "a/1/accepted", "b/1/accepted", "c/1/bounced")).in_doubt == 0


def test_more_in_doubt_than_was_on_the_wire_breaks_a_promise():
    found = truth(
        "a/1/accepted", "b/1/in_doubt", "c/1/bounced", ledger=Ledger(planned=3, accepted=1, in_doubt=1, bounced=1)
    )
    assert judge(found, doubts_at_most=1).broken == []
    assert judge(found, doubts_at_most=0).broken == ["1 mails in doubt, at most 0 were on the wire"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"in_clickhouse": GOOD.stated[1:]}, "the table of events differs from EVENTS"),
        ({"in_clickhouse": [*GOOD.stated, GOOD.stated[-1]]}, "the table of events differs from EVENTS"),
        ({"ledger": Ledger(planned=3, accepted=3)}, "the ledger differs from EVENTS"),
        ({"by_provider": {}}, "the rollup by provider differs from EVENTS"),
        ({"failures": 1}, "the rollup of failures differs from EVENTS"),
        ({"latencies": 1}, "the rollup of latencies differs from EVENTS"),
        ({"closed": False}, "not finished"),
        ({"ledger": Ledger(planned=3, accepted=2, bounced=1, queued=1)}, "ledger not balanced"),
        ({"planned": 2}, "2 planned in EVENTS, 3 in the audience"),
    ],
)
def test_whatever_differs_is_named(change, words):
    assert judge(msgspec.structs.replace(GOOD, **change)).broken == [words]
