"""Refilling ClickHouse from EVENTS. `jetpost rebuild` writes the request into the bucket `ingest`; the ingester does it.

    asked → filling → done        or   asked → refused

So it works wherever ClickHouse is, inside the ingester's process too, and goes on after a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from events import streams
from events.bus import Bucket, Bus, StreamState

LOOK_SECONDS: Final = 1.0
_KEY: Final = "rebuild"


class Rebuild(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and what has become of it."""

    asked_at: float
    """Unix seconds."""
    drop_older: bool
    """Also where ClickHouse has events that EVENTS no longer has: they are lost then."""
    state: Literal["asked", "filling", "done", "refused"] = "asked"
    last: int = 0
    """While filling: ClickHouse is full again when it has the events up to here."""
    origin: str = ""
    """Which life of EVENTS is being filled in (`progress.Progress`)."""
    reason: str = ""
    """Why it was refused."""

    @property
    def under_way(self) -> bool:
        return self.state in {"asked", "filling"}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Rebuild).decode


async def ask(bus: Bus, *, drop_older: bool, now: float) -> Rebuild:
    """Ask for a rebuild, or join one that is under way. Raises `RetryLater`, and `RevisionMismatch` where two ask at once."""
    bucket = await bus.bucket(streams.INGEST)
    entry = await bucket.get(_KEY)
    known = _decode(entry.value) if entry else None
    if known is not None and known.under_way:
        return known
    asked = Rebuild(asked_at=now, drop_older=drop_older)
    await bucket.update(_KEY, _encode(asked), entry.revision if entry else 0)
    return asked


async def look(bus: Bus) -> Rebuild | None:
    """The newest request. Raises `RetryLater`."""
    entry = await (await bus.bucket(streams.INGEST)).get(_KEY)
    return _decode(entry.value) if entry else None


def refusal(rows: int, oldest: int, events: StreamState, ingested: int) -> str:
    """Why ClickHouse must not be emptied, empty where it may be: it has more than EVENTS could give back. Pure.

    `rows` counts what ClickHouse has, `oldest` is the lowest sequence of it.
    """
    if rows == 0 or (oldest >= events.first_sequence and rows <= ingested - events.first_sequence + 1):
        return ""
    return (
        f"ClickHouse has events that EVENTS no longer has: {rows:,} from sequence {oldest:,} on, and EVENTS could give back "
        f"{max(0, ingested - events.first_sequence + 1):,} from {events.first_sequence:,} on. "
        "The older ones would be lost; say --drop-older if that is meant"
    )


class Desk:
    """Where the ingester looks for requests, once in a while."""

    def __init__(self, bucket: Bucket, clock: Callable[[], float]) -> None:
        self._bucket = bucket
        self._clock = clock
        self._looked_at = 0.0

    async def open_request(self) -> Rebuild | None:
        """What is to be done or gone on with. Raises `RetryLater`."""
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return None
        found = await self.read()
        self._looked_at = now
        return found if found is not None and found.under_way else None

    async def read(self) -> Rebuild | None:
        """The newest request. Raises `RetryLater`."""
        entry = await self._bucket.get(_KEY)
        return _decode(entry.value) if entry else None

    async def write(self, rebuild: Rebuild) -> None:
        """Raises `RetryLater`."""
        await self._bucket.put(_KEY, _encode(rebuild))
