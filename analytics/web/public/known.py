"""What the door knows of campaigns: from whom their mails are, and where their links lead. Asked of NATS once, then kept.

Neither changes once a campaign has mails. A token is checked before anything is asked, so nobody can make it ask at will.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from events import campaigns, links, streams
from events.bus import Bus
from events.campaigns import CampaignNotFound
from events.links import Links
from events.schemas import Campaign, Tracking

MOST_KEPT: Final = 2_000
"""Campaigns: some 10 KB each where they have many links."""

Value = TypeVar("Value")


class Sender(msgspec.Struct, frozen=True):
    """From whom the mails of a campaign are."""

    name: str = ""
    """As mails show it; empty: not known any more."""
    list: str = ""
    tracking: Tracking = Tracking()


class KnownCampaigns:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._senders: dict[str, Sender] = {}
        self._links: dict[str, Links] = {}

    async def sender(self, campaign: str) -> Sender:
        """Raises `RetryLater`."""
        return await _kept(self._senders, campaign, self._ask_sender)

    async def links(self, campaign: str) -> Links:
        """Empty where the campaign has none. Raises `RetryLater`."""
        return await _kept(self._links, campaign, self._ask_links)

    async def _ask_sender(self, campaign: str) -> Sender:
        try:
            return _sender(await campaigns.glance(self._bus, campaign))
        except CampaignNotFound:
            return Sender()

    async def _ask_links(self, campaign: str) -> Links:
        blobs = await self._bus.blobs(streams.LINKS)
        try:
            return links.decode(await blobs.get(links.blob_name(campaign)))
        except KeyError:
            return ()


def _sender(campaign: Campaign) -> Sender:
    name, _, address = campaign.from_header.rpartition(" <")
    return Sender(name or address.rstrip(">"), campaign.list, campaign.tracking)


async def _kept(kept: dict[str, Value], campaign: str, ask: Callable[[str], Awaitable[Value]]) -> Value:
    value = kept.pop(campaign, None)
    if value is None:
        value = await ask(campaign)
    kept[campaign] = value
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
    return value
