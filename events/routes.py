"""Through which pools a campaign goes, and changing that while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from events import campaigns
from events.bus import Bus
from events.campaigns import WrongStatus
from events.schemas import Campaign


def choose(route: Sequence[str], can: Callable[[str], bool]) -> str:
    """The first pool that can; where none can, the preferred one, which waits. Pure."""
    return next((pool for pool in route if can(pool)), route[0])


async def change(bus: Bus, campaign_id: str, routes: Mapping[str, tuple[str, ...]]) -> Campaign:
    """By mailbox provider the pools to use from now on; those of other providers stay. Raises as `campaigns.change`."""
    return await campaigns.change(bus, campaign_id, lambda campaign: rerouted(campaign, routes))


def rerouted(campaign: Campaign, routes: Mapping[str, tuple[str, ...]]) -> Campaign:
    """Pure. Raises `WrongStatus` where it has ended."""
    if campaign.finished_at is not None or campaign.status in {"finished", "cancelled"}:
        raise WrongStatus(f"The campaign is {campaign.status}: there is nothing left to route.")
    return replace(campaign, routes={**campaign.routes, **routes})
