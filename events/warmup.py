"""The warm-up of a lane (pool × mailbox provider): where it is in its plan, and how its days went.

One document per lane lies in the bucket `warmup`. `sender.warmup` decides what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from events import breaker, documents, streams
from events.bus import Bus

DAY_SECONDS: Final = 86_400
DAYS_KEPT: Final = 60
"""More than any plan takes."""


class Day(msgspec.Struct, frozen=True, array_like=True):
    """What happened in one day (UTC)."""

    number: int
    """Days since 1970."""
    allowance: int | None = None
    """Mails that were allowed, as it turned out; None: any number."""
    accepted: int = 0
    hard: int = 0
    blocked: int = 0
    deferred: int = 0
    complaints: int = 0
    step: int = 0
    """Its place in the plan."""
    verdict: str = ""
    """What the day meant for the next one, in words."""

    @property
    def mails(self) -> int:
        """That have an outcome."""
        return self.accepted + self.hard + self.blocked


class Warmup(msgspec.Struct, frozen=True, omit_defaults=True):
    lane: str
    today: Day
    step: int = 1
    """The place in the plan, from 1."""
    done: bool = False
    """The plan is at its end: any number may go."""
    days: tuple[Day, ...] = ()
    """Those before on which mails went, the oldest first."""
    reports: dict[str, int] = {}
    """The number of each sender's newest report: each counts once."""
    complaints_upto: int = 0
    """Complaints are counted up to this sequence of EVENTS."""


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Warmup).decode


def day_of(now: float) -> int:
    """Days since 1970, UTC."""
    return int(now // DAY_SECONDS)


def fresh(lane: str, day: int) -> Warmup:
    return Warmup(lane, Day(day))


def complained(state: Warmup, complaints: int, upto: int, returned: int = 0) -> Warmup:
    """With complaints that came today, and mails that came back for good, the last of them at sequence `upto` of EVENTS."""
    if upto <= state.complaints_upto:
        return state
    day = state.today
    today = msgspec.structs.replace(day, complaints=day.complaints + complaints, hard=day.hard + returned)
    return msgspec.structs.replace(state, today=today, complaints_upto=upto)


async def change(bus: Bus, lane: str, day: int, transition: Callable[[Warmup], Warmup]) -> Warmup:
    """Apply it to the newest state (of a new lane: that of its first day), anew whenever somebody else was faster. Raises
    `RetryLater`."""

    def on_document(document: bytes | None) -> bytes | None:
        before = fresh(lane, day) if document is None else decode(document)
        after = transition(before)
        return document if after == before and document is not None else encode(after)

    document = await documents.change(await bus.bucket(streams.WARMUP), lane, on_document)
    return fresh(lane, day) if document is None else decode(document)


async def all_of(bus: Bus) -> list[Warmup]:
    """Of every lane that is being warmed up. Raises `RetryLater`."""
    entries = await (await bus.bucket(streams.WARMUP)).entries()
    return sorted((decode(entry.value) for entry in entries), key=lambda state: state.lane)


def lane_key(pool: str, provider: str) -> str:
    return breaker.lane_key(pool, provider)
