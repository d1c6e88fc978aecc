"""How fast each lane may go at present, and why it is slow: what lies in the bucket `throttle`, as people read it.

A lane is a pool's mails for one mailbox provider; without a provider all of the pool's are meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from events import pace as paces
from events import streams
from events.bus import Bus
from events.pace import Pace, Why

EVERY: Final = "all"
"""Stands where a mailbox provider would: the whole pool."""

Condition: TypeAlias = Literal["paused", "slow", "set", "limited", "free"]
"""Paused or slowed down by its provider · a person set its limit · the configured limit holds · it has none."""


class _Entry(msgspec.Struct, frozen=True):
    """What is read of an entry; senders keep more there."""

    pace: Pace = Pace()


class LaneNow(msgspec.Struct, frozen=True, kw_only=True):
    """A lane at a moment. Rates are mails per second, times Unix seconds."""

    pool: str
    provider: str
    """`all`: the whole pool."""
    condition: Condition
    rate: float | None
    """The limit now; None: there is none."""
    usual_rate: float | None
    """What it comes back to: configured, or set by a person; None: no limit."""
    connections: int | None
    """The limit now, of all senders together; None: there is none."""
    usual_connections: int | None
    since: float | None
    """When the provider slowed it down or paused it, or a person set its limit."""
    until: float | None
    """When it will have its usual limit again, if the provider says nothing more."""
    paused_until: float | None
    why: Why | None
    """What the provider objected to last; only while that holds."""
    fixed: bool
    """A person set the rate, and it does not follow what the provider says."""

    @property
    def name(self) -> str:
        return f"{self.pool}.{self.provider}"


async def read(bus: Bus) -> dict[tuple[str, str], Pace]:
    """What is known, by pool and provider."""
    found = {}
    for entry in await (await bus.bucket(streams.THROTTLE)).entries():
        pool, _, provider = entry.key.partition(".")
        if "=" not in pool:  # a campaign's rate
            found[pool, provider or EVERY] = _pace(entry.value)
    return found


def _pace(value: bytes) -> Pace:
    try:
        return msgspec.json.decode(value, type=_Entry).pace
    except msgspec.DecodeError:
        return Pace()


def look(
    pool: str, provider: str, pace: Pace, now: float, rate: float | None = None, connections: int | None = None
) -> LaneNow:
    """A lane as it is now, where this much is configured."""
    slow, paused = paces.is_slow(pace, rate, now), paces.is_paused(pace, now)
    connections_now = paces.connections_at(pace, connections, now)
    usual = paces.ceiling_of(pace, rate)
    held = slow or paused or connections_now != connections
    return LaneNow(
        pool=pool,
        provider=provider,
        condition=_condition(pace, usual, paused=paused, slow=held),
        rate=paces.rate_at(pace, rate, now),
        usual_rate=usual,
        connections=connections_now,
        usual_connections=connections,
        since=_since(pace, slow=slow, held=held),
        until=_until(pace, rate, slow=slow, paused=paused),
        paused_until=pace.not_before if paused else None,
        why=pace.why if held else None,
        fixed=pace.fixed,
    )


def _condition(pace: Pace, usual: float | None, *, paused: bool, slow: bool) -> Condition:
    if paused:
        return "paused"
    if slow:
        return "slow"
    if pace.override is not None:
        return "set"
    return "free" if usual is None else "limited"


def _since(pace: Pace, *, slow: bool, held: bool) -> float | None:
    if slow:
        return pace.slow_since
    if held:
        return None if pace.why is None else pace.why.at
    return None if pace.override is None else pace.override_at


def _until(pace: Pace, configured: float | None, *, slow: bool, paused: bool) -> float | None:
    if slow:
        return paces.full_again_at(pace, configured)
    return pace.not_before if paused else None


def look_at_all(known: Mapping[tuple[str, str], Pace], now: float) -> list[LaneNow]:
    """Those lanes that a provider or a person holds back, for readers who do not know the settings of the senders."""
    lanes = [
        look(pool, provider, pace, now, pace.configured, pace.configured_connections)
        for (pool, provider), pace in sorted(known.items())
    ]
    return [lane for lane in lanes if lane.condition in {"paused", "slow", "set"}]
