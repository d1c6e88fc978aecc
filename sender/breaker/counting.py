"""Adding what one sender counted to what is known of a campaign. Pure.

A report is added once, however often it is brought: the answer to a write may be lost. It carries how many mails of the canary
its sender may still try, not by how much that number changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from events.breaker import Canary, Health, LaneHealth, Note, Slice, with_lane

_SLICES: Final = 32
"""More are merged, the newest excepted: so a document stays below a few kilobytes."""
_KEPT_APART: Final = 8
_FORGOTTEN_SECONDS: Final = 3_600.0
"""Senders that hold nothing of a canary are forgotten after this."""


class Tally(msgspec.Struct):
    """Outcomes since the last report."""

    accepted: int = 0
    hard: int = 0
    blocked: int = 0
    other: int = 0
    """Given up otherwise, expired, or in doubt."""
    tried: int = 0
    """First tries with an outcome of whatever kind."""

    def __bool__(self) -> bool:
        return bool(self.accepted or self.hard or self.blocked or self.other or self.tried)

    @property
    def bad(self) -> int:
        return self.hard + self.blocked

    def add(self, more: Tally) -> None:
        self.accepted += more.accepted
        self.hard += more.hard
        self.blocked += more.blocked
        self.other += more.other
        self.tried += more.tried


class Report(msgspec.Struct, frozen=True):
    sender: str
    number: int
    at: float
    tallies: dict[str, Tally]
    """By lane."""
    holding: int | None = None
    """Mails of the canary that the sender may try and has not stated; None: the campaign has no canary that is undecided."""


def is_counted(health: Health, report: Report) -> bool:
    note = health.senders.get(report.sender)
    return note is not None and note.report >= report.number


def add(health: Health, report: Report, window_seconds: float) -> Health:
    """What is known with the report; unchanged where it is counted already."""
    if is_counted(health, report):
        return health
    for lane, tally in report.tallies.items():
        if tally.accepted or tally.hard or tally.blocked:
            state = health.lanes.get(lane, LaneHealth())
            health = with_lane(health, lane, _with_outcomes(state, tally, report.at, window_seconds))
    if report.holding is not None and health.canary.passed_at is None:
        health = msgspec.structs.replace(health, canary=_with_canary(health.canary, report.tallies.values()))
    return noted(health, report.sender, report.number, report.at, report.holding or 0)


def noted(health: Health, sender: str, report: int, at: float, grants: int) -> Health:
    """With what the sender holds; senders that hold nothing and were silent for long are forgotten."""
    oldest = at - _FORGOTTEN_SECONDS
    others = {name: note for name, note in health.senders.items() if note.grants or note.at > oldest}
    return msgspec.structs.replace(health, senders={**others, sender: Note(report, at, grants)})


def _with_outcomes(lane: LaneHealth, tally: Tally, now: float, window_seconds: float) -> LaneHealth:
    if lane.opening is not None:  # what was on its way when the lane was stopped
        return lane
    newest = Slice(now, tally.accepted, tally.hard, tally.blocked)
    slices = _merged([*_within(lane.slices, now - window_seconds), newest])
    return msgspec.structs.replace(lane, slices=slices, accepted=lane.accepted + tally.accepted)


def _within(slices: tuple[Slice, ...], since: float) -> list[Slice]:
    """Without those that ended before; one ends where the next one starts."""
    ends = [following.start for following in slices[1:]]
    old = sum(1 for end in ends if end <= since)
    kept = list(slices[old:])
    return [] if len(kept) == 1 and kept[0].start <= since else kept


def _merged(slices: list[Slice]) -> tuple[Slice, ...]:
    """The two smallest neighbours become one, until there are few; the newest stay apart."""
    while len(slices) > _SLICES:
        pairs = range(len(slices) - 1 - _KEPT_APART)
        at = min(pairs, key=lambda index: slices[index].mails + slices[index + 1].mails)
        first, second = slices[at], slices[at + 1]
        both = Slice(
            first.start,
            first.accepted + second.accepted,
            first.hard + second.hard,
            first.blocked + second.blocked,
        )
        slices[at : at + 2] = [both]
    return tuple(slices)


def _with_canary(canary: Canary, tallies: Iterable[Tally]) -> Canary:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return msgspec.structs.replace(
        canary,
        tried=canary.tried + total.tried,
        accepted=canary.accepted + total.accepted,
        hard=canary.hard + total.hard,
        blocked=canary.blocked + total.blocked,
        other=canary.other + total.other,
    )
