"""The senders that work, as each says of itself every few seconds: what it serves, how fast it is, what it was told to keep to.

Each has an entry in the bucket `throttle`, under `sender=<id>`, and takes it away when it stops; one that was killed falls
silent. Times are Unix seconds by the clock of the NATS server, rates mails per second.
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
FORGOTTEN_SECONDS: Final = 600.0
"""What one that was killed said last is deleted after this, by others."""
_PREFIX: Final = "sender="


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


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sender says of itself."""

    sender: str
    at: float
    pools: dict[str, Line] = {}


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Beat).decode


def key_of(sender: str) -> str:
    return f"{_PREFIX}{sender}"


def is_beat(key: str) -> bool:
    """Whether an entry of the bucket `throttle` is a sender's word, and not the state of a limit."""
    return key.startswith(_PREFIX)


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
    """What every sender said last, those that were killed included. Raises `RetryLater`."""
    entries = await (await bus.bucket(streams.THROTTLE)).entries()
    return [beat for entry in entries if is_beat(entry.key) and (beat := decode(entry.value)) is not None]
