"""From counted facts to a ledger. Pure.

An attempt has one outcome and attempts count up, so sums nearly give the ledger: final outcomes count as they are, and
what is retrying is what was deferred at its first attempt less what reached a final outcome at a later one. Sums err only
where a mail has a final outcome and then another: one that was in doubt and tried again or resolved, or one that was put
back after it was given up. Those mails are *contested*, and few; their contribution to the sums is taken out and their
states, found mail by mail, put in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from events.ledger import Ledger

FINAL: Final = ("accepted", "bounced", "failed", "suppressed", "expired", "in_doubt")

CONTESTING: Final = ("in_doubt", "requeued", "doubt_resolved")
"""What has to be stated of a mail before it can have more than one final outcome."""

OutcomeCounts: TypeAlias = Mapping[tuple[str, bool], int]
"""How many outcomes by type and whether the attempt was a later one than the first."""


class Plan(msgspec.Struct, frozen=True):
    planned: int = 0
    cancelled: int = 0
    """As stated when the campaign was closed."""
    closed: bool = False
    """And not reopened since."""


def plan_of(campaign: str, rows: Sequence[Sequence[Any]]) -> Plan:
    """From the rows of `queries/plans.sql`; a campaign without any has planned nothing yet."""
    return next((Plan(row[1], row[2], bool(row[3])) for row in rows if row[0] == campaign), Plan())


def counts_of(campaign: str, rows: Sequence[Sequence[Any]]) -> dict[tuple[str, bool], int]:
    """From the rows of `queries/outcome_counts.sql`."""
    return {(row[1], bool(row[2])): row[3] for row in rows if row[0] == campaign}


def contested_of(campaign: str, rows: Sequence[Sequence[Any]]) -> tuple[OutcomeCounts, Mapping[str, int]]:
    """What the contested mails contribute to the sums, and how many are in each state: from `queries/histories.sql`."""
    counts: Counter[tuple[str, bool]] = Counter()
    states: Counter[str] = Counter()
    for owner, state, stated, mails in rows:
        if owner == campaign:
            states[state] += mails
            for kind, later in stated:
                counts[kind, bool(later)] += mails
    return counts, states


def from_states(plan: Plan, states: Mapping[str, int]) -> Ledger:
    """From the number of mails in each state, a state being the type of the outcome that stands."""
    final = {kind: states.get(kind, 0) for kind in FINAL}
    settled = sum(final.values()) + plan.cancelled
    retrying = 0 if plan.closed else states.get("deferred", 0) + states.get("requeued", 0)
    return Ledger(
        planned=plan.planned,
        cancelled=plan.cancelled,
        retrying=retrying,
        queued=plan.planned - settled - retrying,
        **final,
    )


def from_counts(
    plan: Plan, counts: OutcomeCounts, contested: OutcomeCounts, contested_states: Mapping[str, int]
) -> Ledger:
    """From sums of outcomes; `contested` says how much of `counts` belongs to mails whose states are known one by one."""
    sums = {key: count - contested.get(key, 0) for key, count in counts.items()}
    states = {kind: sums.get((kind, False), 0) + sums.get((kind, True), 0) for kind in FINAL}
    states["deferred"] = sums.get(("deferred", False), 0) - sum(sums.get((kind, True), 0) for kind in FINAL)
    for state, count in contested_states.items():
        states[state] = states.get(state, 0) + count
    return from_states(plan, states)
