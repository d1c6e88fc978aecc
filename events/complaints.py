"""Complaints, and mails that came back after they were accepted, counted where they matter: against the lanes that they went
through (`breaker`), and their warm-up.

Whoever learns of complaints calls `count`, with the place of each in EVENTS: each counts once, if they come in order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from events import breaker, campaigns, providers, streams, warmup
from events.breaker import EVERY_LANE, lane_key
from events.bus import Bus
from events.campaigns import CampaignNotFound
from events.schemas import Campaign


class Complaint(NamedTuple):
    campaign: str
    address: str
    """Whose mail it was; empty: nobody knows, and it counts against the campaign as a whole."""
    sequence: int
    """Of EVENTS."""
    returned: bool = False
    """It is no complaint: the mail came back for good."""


async def count(bus: Bus, complaints: Sequence[Complaint], now: float) -> None:
    """Count them. Harmless to repeat. Raises `RetryLater`."""
    by_campaign: defaultdict[str, list[Complaint]] = defaultdict(list)
    for one in complaints:
        by_campaign[one.campaign].append(one)
    for name, of_campaign in by_campaign.items():
        try:
            campaign = await campaigns.get(bus, name)
        except CampaignNotFound:
            continue
        complained = Counter(_lane_of(campaign, one.address) for one in of_campaign if not one.returned)
        returned = Counter(_lane_of(campaign, one.address) for one in of_campaign if one.returned)
        upto = max(one.sequence for one in of_campaign)
        if campaign.finished_at is None:
            await breaker.change(bus, name, _counted(complained, returned, upto))
        for lane in (complained | returned).keys() - {EVERY_LANE}:
            await _warm(bus, lane, complained[lane], returned[lane], upto, now)


def _lane_of(campaign: Campaign, address: str) -> str:
    """The lane that the mail went through, as far as the address tells: other pools may have taken over."""
    if not address:
        return EVERY_LANE
    provider = providers.provider_of(address.rpartition("@")[2].lower())
    return lane_key(campaign.pools_for(provider)[0], provider)


def _counted(complaints: Counter[str], returned: Counter[str], upto: int) -> breaker.Change:
    return lambda health: breaker.complained(health, complaints, upto, returned)


async def _warm(bus: Bus, lane: str, complaints: int, returned: int, upto: int, now: float) -> None:
    """Only lanes that are warmed up have a document."""
    if await (await bus.bucket(streams.WARMUP)).get(lane) is not None:
        await warmup.change(
            bus, lane, warmup.day_of(now), lambda state: warmup.complained(state, complaints, upto, returned)
        )
