"""What the bus tells of queues, senders and limits at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from analytics.queues import Queues
from events import breaker, fleet, streams
from events.breaker import Health
from events.bus import Bus, Entry
from events.fleet import Beat
from events.pace import Pace
from events.schemas import Campaign


class Shared(msgspec.Struct, frozen=True):
    """What is read of the state that senders share about a pool or a lane; they keep more there."""

    pace: Pace = Pace()
    day: int = 0
    """The day that `used` is of, in days since 1970, UTC."""
    used: int = 0
    allowance: int | None = None
    """Mails that may be sent in a day while it is warmed up; None: no warm-up."""


class Tried(msgspec.Struct, frozen=True):
    """What ClickHouse has counted of a campaign, a moment ago."""

    untried: int
    """Recipients of whom nothing was stated yet."""
    retrying: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    now: float
    """By the server's clock, which senders go by."""
    campaigns: Sequence[Campaign]
    queues: Queues
    queued: int
    """The newest sequence of MAIL: it grows by each mail that is rendered, and by each retry that is scheduled or comes due."""
    shared: Mapping[str, Shared] = {}
    """By `<pool>` and `<pool>.<provider>`."""
    beats: Sequence[Beat] = ()
    """Of the senders that work."""
    healths: Mapping[str, Health] = {}
    """What the circuit breaker knows, by campaign."""
    tried: Mapping[str, Tried] = {}
    """By campaign; nothing while ClickHouse does not answer."""


_decode: Final = msgspec.json.Decoder(Shared).decode


async def look(bus: Bus, queues: Queues, campaigns: Sequence[Campaign], tried: Mapping[str, Tried]) -> Seen:
    """Costs the server five small questions. Raises `RetryLater`."""
    now = await bus.server_time()
    sharing = await (await bus.bucket(streams.THROTTLE)).entries()
    return Seen(
        now=now,
        campaigns=campaigns,
        queues=queues,
        queued=(await bus.stream_state(streams.MAIL.name)).last_sequence,
        shared={entry.key: _shared(entry) for entry in sharing if "=" not in entry.key},
        beats=fleet.alive(await fleet.read(bus), now),
        healths={health.campaign: health for health in await breaker.all_of(bus)},
        tried=tried,
    )


def _shared(entry: Entry) -> Shared:
    try:
        return _decode(entry.value)
    except msgspec.DecodeError:
        return Shared()
