"""Whether a campaign's mails are wanted at the moment, as the bucket `campaigns` says; followed, so that asking costs nothing."""

from __future__ import annotations

import logging
from typing import Final, Literal

import msgspec

from events import campaigns, schemas, streams
from events.bus import Bus, Entry
from events.errors import RetryLater
from events.schemas import CampaignStatus
from producer.patience import Patience

_log = logging.getLogger(__name__)

Standing = Literal["wanted", "paused", "cancelled", "finished"]

_STANDING: Final[dict[CampaignStatus, Standing]] = {
    "planning": "wanted",
    "running": "wanted",
    "paused": "paused",
    "cancelled": "cancelled",
    "finished": "finished",
}


class Standings:
    """The standing of every campaign; `follow` keeps it true for as long as it runs."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, Standing] = {}
        self._patience = Patience("watch")

    async def follow(self) -> None:
        """Runs until it is cancelled."""
        await self._patience.insist(self._follow)

    async def _follow(self) -> None:
        bucket = await self._bus.bucket(streams.CAMPAIGNS)
        async for entry in bucket.watch():
            self._patience.succeeded()
            if entry is not None:
                self._take_note(entry)
        raise RetryLater("the watch ended")

    def _take_note(self, entry: Entry) -> None:
        if entry.deleted:
            self._known.pop(entry.key, None)
            return
        try:
            self._known[entry.key] = _STANDING[schemas.decode_campaign(entry.value).status]
        except (msgspec.DecodeError, UnicodeDecodeError):
            _log.exception("campaign %s cannot be read; it stays as it was known", entry.key)

    async def ask(self, campaign: str) -> Standing:
        """From the bucket itself, for a decision about a batch. Raises `CampaignNotFound` and `RetryLater`."""
        found = _STANDING[(await campaigns.get(self._bus, campaign)).status]
        self._known[campaign] = found
        return found

    def is_wanted(self, campaign: str) -> bool:
        """As far as known, without asking; between the chunks of a batch."""
        return self._known.get(campaign) == "wanted"

    def is_paused(self, campaign: str) -> bool:
        return self._known.get(campaign) == "paused"
