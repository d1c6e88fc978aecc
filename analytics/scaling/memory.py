"""What has to be known of earlier looks: what senders were like while there are none, and since when campaigns are sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from analytics.scaling import crowding
from analytics.scaling.crowding import Crowd
from analytics.scaling.seen import Seen
from events.fleet import UNBOUNDED, Beat, Bounds
from events.schemas import Campaign

RENDERING_SECONDS: Final = 60.0
"""Producers are measured for so long: they need a while to begin, and publish in chunks."""


class KnownPool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool, as senders served it when they said so last."""

    sessions: int = 1
    """Of one sender."""
    rate: float | None = None
    """Of one sender at full work, on average; None: it was never measured."""
    down: bool = False
    """No sender can connect."""
    bounds: Bounds = UNBOUNDED
    lanes: dict[str, Bounds] = {}


class Rendering(msgspec.Struct, frozen=True, omit_defaults=True):
    """What producers get through while they have work all the time."""

    since: float
    queued: int
    """The newest sequence of MAIL then."""
    rate: float | None = None
    """Of the last stretch that was measured."""


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    pools: dict[str, KnownPool] = {}
    begun: dict[str, float] = {}
    """When campaigns were let go on, where that was later than their start: after a pause, or when mails were put back."""
    sent: dict[str, int] = {}
    """How often those campaigns had been reopened that are sent."""
    paused: tuple[str, ...] = ()
    """Those that are not, for now."""
    rendering: Rendering | None = None
    """None: producers have nothing to do, or wait for room."""
    crowds: dict[str, Crowd] = {}
    """By pool whether more senders sent more."""


def remember(memory: Memory, seen: Seen) -> Memory:
    """With what is seen now."""
    sent = {campaign.id: campaign.reopened for campaign in seen.campaigns if is_sent(campaign)}
    return Memory(
        pools=_pools(memory.pools, seen.beats),
        begun=_begun(memory, sent, seen.now),
        sent=sent,
        paused=tuple(campaign.id for campaign in seen.campaigns if campaign.status == "paused"),
        rendering=_rendering(memory.rendering, seen),
        crowds=_crowds(memory.crowds, seen),
    )


def _pools(before: Mapping[str, KnownPool], beats: Sequence[Beat]) -> dict[str, KnownPool]:
    found = dict(before)
    for name in {name for beat in beats for name in beat.pools}:
        lines = [(beat.at, beat.pools[name]) for beat in beats if name in beat.pools]
        _, newest = max(lines, key=lambda one: one[0])
        rates = [line.rate for _, line in lines if line.rate]
        rate = sum(rates) / len(rates) if rates else found.get(name, KnownPool()).rate
        down = all(line.down for _, line in lines)
        found[name] = KnownPool(newest.sessions, rate, down, newest.bounds, newest.lanes)
    return found


def _crowds(before: Mapping[str, Crowd], seen: Seen) -> dict[str, Crowd]:
    found = {}
    for name in {name for beat in seen.beats for name in beat.pools}:
        lines = [beat.pools[name] for beat in seen.beats if name in beat.pools]
        full = all(line.full and line.rate is not None for line in lines)
        rate = sum(line.rate or 0.0 for line in lines) if full else None
        found[name] = crowding.follow(before.get(name), len(lines), rate, seen.now)
    return found


def _begun(memory: Memory, sent: Mapping[str, int], now: float) -> dict[str, float]:
    """A campaign that was paused, or had ended, has its time from when it goes on."""
    begun = {}
    for name, reopened in sent.items():
        if name in memory.paused or reopened > memory.sent.get(name, 0):
            begun[name] = now
        elif name in memory.begun:
            begun[name] = memory.begun[name]
    return begun


def is_sent(campaign: Campaign) -> bool:
    """Whether its mails go, or wait for nothing but its start."""
    return campaign.finished_at is None and campaign.status in {"planning", "running"}


def _rendering(before: Rendering | None, seen: Seen) -> Rendering | None:
    busy = any(seen.queues.batches.get(campaign.id) for campaign in seen.campaigns if is_sent(campaign))
    if not busy or seen.queues.storage.nearly_full:
        return None
    if before is None:
        return Rendering(seen.now, seen.queued)
    if seen.now - before.since < RENDERING_SECONDS:
        return before
    return Rendering(seen.now, seen.queued, max(0, seen.queued - before.queued) / (seen.now - before.since))
