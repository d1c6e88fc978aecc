"""What lies in the lanes of campaigns, and what keeps it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analytics.web.models import CampaignInfo, Held, LaneDepth
from events import breaker, lanes, providers, streams
from events.breaker import Opening
from events.bus import Bus
from events.errors import BusError
from events.lanes import LaneNow


class Holds(NamedTuple):
    """What does not go as usual at a moment."""

    stopped: Mapping[str, Mapping[str, Opening]] = {}
    """By campaign and lane what the circuit breaker stops."""
    slow: Sequence[LaneNow] = ()
    """Lanes that their mailbox provider or a person holds back, of all campaigns."""

    def of(self, info: CampaignInfo, provider: str) -> tuple[Held, float | None]:
        """Whether the campaign's mails to this provider do not go, and until when, as far as that is known.

        Where its pool is away or has used up its day mails go through the next one: that is no standing still.
        """
        pool = info.pools_for(provider)[0]
        if breaker.opening_among(self.stopped.get(info.id, {}), breaker.lane_key(pool, provider)) is not None:
            return "stopped", None
        names = {provider, lanes.EVERY}
        pauses = [one for one in self.slow if one.condition == "paused" and one.pool == pool and one.provider in names]
        return ("paused", max(one.paused_until or 0.0 for one in pauses)) if pauses else ("", None)


async def holds(bus: Bus, now: float, campaign: str = "") -> Holds:
    """Of one campaign, or of all; nothing of what the bus does not tell."""
    return Holds(await _stopped(bus, campaign), await _slow(bus, now))


async def _stopped(bus: Bus, campaign: str) -> dict[str, dict[str, Opening]]:
    try:
        known = [await breaker.get(bus, campaign)] if campaign else await breaker.all_of(bus)
    except BusError:
        return {}
    return {one.campaign: found for one in known if (found := breaker.stopped(one))}


async def _slow(bus: Bus, now: float) -> list[LaneNow]:
    try:
        return lanes.look_at_all(await lanes.read(bus), now)
    except BusError:
        return []


async def of_campaign(bus: Bus, info: CampaignInfo, held_by: Holds, *, only_held: bool = False) -> list[LaneDepth]:
    """What lies in its lanes; nothing where it has ended, or the bus does not tell."""
    if info.finished_at is not None:
        return []
    try:
        found = [
            await _depth(bus, info, provider, held, until)
            for provider in providers.PROVIDERS
            for held, until in [held_by.of(info, provider)]
            if held or not only_held
        ]
    except BusError:
        return []
    return [depth for depth in found if depth is not None]


async def _depth(bus: Bus, info: CampaignInfo, provider: str, held: Held, until: float | None) -> LaneDepth | None:
    state = await bus.consumer_state(streams.MAIL.name, streams.lane_name(info.id, info.pool, provider))
    if state is None:
        return None
    return LaneDepth(
        pool=info.pool,
        provider=provider,
        pools=info.pools_for(provider),
        held=held,
        held_until=until,
        waiting=state.waiting,
        in_flight=state.in_flight,
    )
