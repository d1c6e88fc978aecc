"""The newest decision, as it lies in the bucket `ingest`: for everybody who shows it, and for the next ingester."""

from __future__ import annotations

from typing import Final

import msgspec

from analytics.scaling.decision import Decision, State
from analytics.scaling.memory import Memory
from events import streams
from events.bus import Bus

STALE_SECONDS: Final = 60.0
"""What was decided longer ago does not count any more."""
KEY: Final = "scaling"


class Stored(msgspec.Struct, frozen=True):
    """The newest decision, and what the next one needs to know."""

    decision: Decision
    state: State = State()
    memory: Memory = Memory()


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Stored).decode


async def newest(bus: Bus, now: float) -> Decision | None:
    """What holds; None where nobody decided lately. `now` by the server's clock. Raises `RetryLater`."""
    stored = await read(bus)
    return None if stored is None or now - stored.decision.at > STALE_SECONDS else stored.decision


async def read(bus: Bus) -> Stored | None:
    """However old it is. Raises `RetryLater`."""
    entry = await (await bus.bucket(streams.INGEST)).get(KEY)
    if entry is None or entry.deleted:
        return None
    try:
        return _decode(entry.value)
    except msgspec.DecodeError:
        return None  # of another release: decided anew within a second


async def write(bus: Bus, stored: Stored) -> None:
    """Raises `RetryLater`."""
    await (await bus.bucket(streams.INGEST)).put(KEY, _encode(stored))
