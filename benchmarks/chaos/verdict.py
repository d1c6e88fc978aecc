"""Holds what is true against what was promised. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from benchmarks.chaos.truth import Truth
from events.ledger import Ledger
from events.schemas import DeliveryPolicy

FINAL: Final = frozenset({"accepted", "bounced", "failed", "suppressed", "expired", "in_doubt"})
_LEDGER: Final = ("accepted", "bounced", "failed", "suppressed", "expired", "in_doubt")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    lost: list[str]
    """Mails that were planned and have no final state, or are called accepted and never were taken."""
    duplicated: list[str]
    """Mails that the simulator took more than once."""
    silent: list[str]
    """Of these, the ones that nobody ever said to be in doubt."""
    in_doubt: int
    balanced: bool
    clickhouse_equal: bool
    broken: list[str]
    """The promises that were not kept, in words."""


def judge(plan: frozenset[str], truth: Truth, policy: DeliveryPolicy, doubts_at_most: int) -> Verdict:
    states = truth.states()
    lost = sorted(mail for mail in plan if states.get(mail) not in FINAL)
    lost += sorted(mail for mail, state in states.items() if state == "accepted" and mail not in truth.taken)
    duplicated = sorted(mail for mail, times in truth.taken.items() if times > 1)
    silent = sorted(set(duplicated) - truth.doubted())
    otherwise = {mail for mail in truth.taken if states.get(mail) not in {"accepted", "in_doubt"}} - truth.doubted()
    in_doubt = sum(state == "in_doubt" for state in states.values())
    clickhouse = differences(truth)
    promises = {
        f"{len(lost)} mails lost": bool(lost),
        f"{len(set(states) - plan)} mails that nobody planned": bool(set(states) - plan),
        f"{truth.planned} planned in EVENTS, {len(plan)} in the audience": truth.planned != len(plan),
        f"{len(duplicated)} mails twice": bool(duplicated) and policy == "at_most_once",
        f"{len(silent)} mails silently twice": bool(silent),
        f"{len(otherwise)} mails taken that are stated otherwise": bool(otherwise),
        f"{in_doubt} mails in doubt, at most {doubts_at_most} were on the wire": in_doubt > doubts_at_most,
        "not finished": not truth.closed,
        "ledger not balanced": not truth.ledger.balanced,
        **dict.fromkeys(clickhouse, True),
    }
    return Verdict(
        lost=lost,
        duplicated=duplicated,
        silent=silent,
        in_doubt=in_doubt,
        balanced=truth.closed and truth.ledger.balanced,
        clickhouse_equal=not clickhouse,
        broken=[words for words, is_broken in promises.items() if is_broken],
    )


def differences(truth: Truth) -> list[str]:
    """Where ClickHouse, table or rollup, differs from EVENTS recounted mail by mail."""
    attempts = Counter(one.kind for one in truth.stated)
    by_provider = Counter((one.provider, one.kind) for one in truth.stated)
    kinds = ("accepted", "deferred", "bounced", "failed", "in_doubt")
    rolled_up = {(name, kind): row[kind] for name, row in truth.by_provider.items() for kind in kinds if row[kind]}
    found = {
        "the table of events": truth.in_clickhouse != truth.stated,
        "the ledger": _counts(truth.ledger) != dict(_recounted(truth)),
        "the rollup by provider": rolled_up != {key: n for key, n in by_provider.items() if key[1] in kinds},
        "the rollup of failures": truth.failures != sum(attempts.values()) - attempts["accepted"] - attempts["expired"],
        "the rollup of latencies": truth.latencies != attempts["accepted"],
    }
    return [f"{what} differs from EVENTS" for what, differs in found.items() if differs]


def _counts(ledger: Ledger) -> dict[str, int]:
    return {kind: getattr(ledger, kind) for kind in _LEDGER if getattr(ledger, kind)}


def _recounted(truth: Truth) -> Counter[str]:
    return Counter(state for state in truth.states().values() if state in _LEDGER)
