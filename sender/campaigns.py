"""What a sender needs to know of campaigns: their present state, as it changes, and their dictionaries."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Container

import msgspec

from events import providers, schemas, streams
from events.bus import Bus
from events.compression import Decompressor
from events.errors import BusError
from events.schemas import Campaign
from sender.errors import DictionaryMissing, DictionaryUnreadable
from sender.patience import Patience

_log = logging.getLogger(__name__)


async def follow(bus: Bus, patience: Patience) -> AsyncIterator[tuple[str, Campaign | None]]:
    """Every campaign with its state, and every change of it; None: it was deleted. Never ends; may repeat itself."""
    while True:
        try:
            bucket = await bus.bucket(streams.CAMPAIGNS)
            async for entry in bucket.watch():
                patience.succeeded()
                if entry is not None:
                    yield entry.key, None if entry.deleted else _decode(entry.key, entry.value)
            await patience.wait(EOFError("the watch on campaigns ended"))
        except BusError as error:
            await patience.wait(error)


def _decode(key: str, value: bytes) -> Campaign | None:
    try:
        return schemas.decode_campaign(value)
    except msgspec.DecodeError:
        _log.exception("campaign %s cannot be read and is left alone", key)
        return None


def is_open(campaign: Campaign | None, pools: frozenset[str]) -> bool:
    """Whether mails of the campaign may still lie in lanes that a sender of these pools serves."""
    if campaign is None or campaign.finished_at is not None:
        return False
    return any(route_of(campaign, provider, pools) for provider in providers.PROVIDERS)


def route_of(campaign: Campaign, provider: str, pools: Container[str]) -> tuple[str, ...]:
    """The pools for mails to this provider that a sender of `pools` has, the preferred first; none where it lacks that one. Pure.

    Else a sender that only has the second pool would take mails whose first pool it knows nothing of.
    """
    route = campaign.pools_for(provider)
    return tuple(pool for pool in route if pool in pools) if route[0] in pools else ()


class Dictionaries:
    """The decompressors of campaigns, each made once and shared by the campaign's lanes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._made: dict[str, Decompressor] = {}

    async def decompressor(self, campaign: str) -> Decompressor:
        """Raises `DictionaryMissing` and `DictionaryUnreadable`."""
        if campaign not in self._made:
            try:
                dictionary = await (await self._bus.blobs()).get(f"{campaign}/dictionary")
            except KeyError:
                raise DictionaryMissing(f"no mail of {campaign} is rendered yet, so it has no dictionary") from None
            try:
                self._made[campaign] = Decompressor(dictionary)
            except msgspec.DecodeError as error:
                raise DictionaryUnreadable(
                    f"the dictionary of campaign {campaign} is damaged, or of a newer release than this sender: {error}"
                ) from error
        return self._made[campaign]

    def forget(self, campaign: str) -> None:
        self._made.pop(campaign, None)
