"""Which of a mail's facts stands, and where that puts the mail in the ledger. Pure.

The highest attempt decides. Of one attempt, what is known first-hand decides over what a person or later evidence says, that
over doubt, and an acceptance over everything. `analytics/clickhouse/queries/exact_states.sql` is the same rule in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, assert_never

from events.facts import (
    DoubtResolved,
    EmailAccepted,
    EmailBounced,
    EmailDeferred,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailRequeued,
    EmailSuppressed,
    MailFact,
)

State: TypeAlias = Literal["accepted", "bounced", "failed", "suppressed", "expired", "in_doubt", "deferred", "requeued"]
"""Where a mail is; `deferred` and `requeued` are the ledger's `retrying`."""


def state_of(fact: MailFact) -> State:
    """Where the mail is if this fact stands. What was in doubt and certainly not sent counts as given up."""
    state: State
    match fact:
        case EmailAccepted():
            state = "accepted"
        case EmailBounced():
            state = "bounced"
        case EmailFailed():
            state = "failed"
        case EmailSuppressed():
            state = "suppressed"
        case EmailExpired():
            state = "expired"
        case EmailInDoubt():
            state = "in_doubt"
        case EmailDeferred():
            state = "deferred"
        case EmailRequeued():
            state = "requeued"
        case DoubtResolved():
            state = "accepted" if fact.resolution == "accepted" else "failed"
        case _:
            assert_never(fact)
    return state


def rank(fact: MailFact) -> tuple[int, int]:
    """Of two facts about one mail the one of higher rank stands; of equal rank either, as they say the same."""
    match fact:
        case EmailRequeued():
            weight = 0
        case EmailInDoubt():
            weight = 1
        case DoubtResolved():
            weight = 3 if fact.resolution == "accepted" else 2
        case EmailDeferred():
            weight = 4
        case EmailBounced() | EmailFailed() | EmailExpired() | EmailSuppressed():
            weight = 5
        case EmailAccepted():
            weight = 6
        case _:
            assert_never(fact)
    return fact.attempt, weight


def standing(told: Iterable[MailFact]) -> dict[str, MailFact]:
    """By mail id the fact that stands, among facts in any order."""
    found: dict[str, MailFact] = {}
    for fact in told:
        known = found.get(fact.mail_id)
        if known is None or rank(fact) > rank(known):
            found[fact.mail_id] = fact
    return found
