"""The senders that work, as each says of itself every few seconds: what it serves, how fast it is, what it was told to keep to.

Each has an entry in the bucket `senders`, under a name that it made up, and takes it away when it stops; one that was killed
falls silent, and the server forgets it. Times are Unix seconds by the clock of the NATS server, rates mails per second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from events import streams
from events.bus import Bus

BEAT_SECONDS: Final = 3.0
"""So often a sender says that it works."""
ALIVE_SECONDS: Final = 4 * BEAT_SECONDS
"""One that was silent for longer does not count."""


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is configured for a pool or a lane, of all senders together; None: no limit."""

    rate: float | None = None
    connections: int | None = None
    daily: int | None = None


UNBOUNDED: Final = Bounds()


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool, as one sender serves it."""

    sessions: int
    """SMTP sessions that it may have at a time."""
    rate: float | None = None
    """What went through it lately while nearly all sessions were at work; None: they never were."""
    down: bool = False
    """No connection to it can be made."""
    bounds: Bounds = UNBOUNDED
    lanes: dict[str, Bounds] = {}
    """The same by mailbox provider, where something is configured."""
    full: bool = False
    """Nearly all of its sessions are at work now: it could not send more."""


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sender says of itself."""

    sender: str
    at: float
    pools: dict[str, Line] = {}


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Beat).decode


def decode(value: bytes) -> Beat | None:
    """None for what a sender of another release says in another way."""
    try:
        return _decode(value)
    except msgspec.DecodeError:
        return None


def alive(beats: Iterable[Beat], now: float) -> list[Beat]:
    """Those that said so lately, by name."""
    return sorted((beat for beat in beats if now - beat.at <= ALIVE_SECONDS), key=lambda beat: beat.sender)


async def read(bus: Bus) -> list[Beat]:
    """What every sender said last, those included that were killed a moment ago. Raises `RetryLater`."""
    entries = await (await bus.bucket(streams.SENDERS)).entries()
    return [beat for entry in entries if (beat := decode(entry.value)) is not None]
