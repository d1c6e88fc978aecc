"""What all senders share about one pool, lane or campaign: an entry of the bucket `throttle`, changed by compare-and-set.

    <pool>                 a pool
    <pool>.<provider>      a lane: a pool's mails for one mailbox provider
    campaign=<id>          a campaign

Every change is a pure function `State -> State` (`reservation`, `connections`), which `keeper.Keeper` applies. Times are Unix
seconds by the clock of the NATS server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from events.pace import Pace

DAY_SECONDS: Final = 86_400


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """Connections that one sender may have open."""

    slots: int
    wanted: int
    """How many it could use."""
    until: float


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """JSON, for people to read. New fields go last, with defaults."""

    tat: float = 0.0
    """The theoretical arrival time (GCRA): every moment before it was given away, as one token for each 1/rate seconds."""
    day: int = 0
    """The day that `used` is of, in days since 1970-01-01 UTC."""
    used: int = 0
    """Mails of that day: sent, or reserved."""
    leases: Mapping[str, Lease] = {}
    """Connections, by sender."""
    pace: Pace = Pace()
    """What the provider bears, as far as it has told, and what a person set in place of what is configured."""
    reserving: Mapping[str, float] = {}
    """Who reserves at present, and when they said so last: each takes an equal part at a time."""
    allowance: int | None = None
    """Mails that may be sent in a day at present; None: no warm-up."""
    spacing: float = 0.0
    """Seconds from the last token that was given away to `tat`."""

    def used_on(self, day: int) -> int:
        return self.used if self.day == day else 0


EMPTY: Final = State()

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(State).decode


def pool_key(pool: str) -> str:
    return pool


def lane_key(pool: str, provider: str) -> str:
    return f"{pool}.{provider}"


def campaign_key(campaign: str) -> str:
    return f"campaign={campaign}"


def day_of(now: float) -> int:
    return int(now // DAY_SECONDS)


def next_day(now: float) -> float:
    """When the next day begins, Unix seconds."""
    return (day_of(now) + 1.0) * DAY_SECONDS
