"""Which of our mails an ESP's event is about, and what is known of its campaign: asked of NATS once, then kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from analytics.callbacks.base import Event
from analytics.hearing.meaning import About
from events import campaigns, links, streams
from events.bus import Bus
from events.campaigns import CampaignNotFound
from events.esps import read_reference
from events.links import Links

MOST_KEPT: Final = 1_000
ASKED_AGAIN_SECONDS: Final = 60.0
"""A campaign that is not there: it was another installation's, or its callback came before it."""


Value = TypeVar("Value")


class Mails:
    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self._known: dict[str, tuple[str, Links]] = {}
        self._missing: dict[str, float] = {}

    async def find(self, event: Event) -> About | None:
        """None where it is none of ours. Raises `RetryLater`."""
        reference = read_reference(event.reference) or read_reference(event.message_id)
        if reference is None:
            return None
        known = self._known.get(reference.campaign) or await self._ask(reference.campaign)
        return None if known is None else About(reference, *known)

    async def _ask(self, name: str) -> tuple[str, Links] | None:
        now = self._clock()
        if now - self._missing.get(name, 0.0) < ASKED_AGAIN_SECONDS:
            return None
        try:
            campaign = await campaigns.get(self._bus, name)
        except CampaignNotFound:
            _keep(self._missing, name, now)
            return None
        known = campaign.list, await self._links(name)
        _keep(self._known, name, known)
        return known

    async def _links(self, campaign: str) -> Links:
        try:
            return links.decode(await (await self._bus.blobs(streams.LINKS)).get(links.blob_name(campaign)))
        except KeyError:
            return ()


def _keep(kept: dict[str, Value], key: str, value: Value) -> None:
    kept[key] = value
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
