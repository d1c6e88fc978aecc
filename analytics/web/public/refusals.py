"""Whose opens and clicks are not counted, by the ids of their mails.

A preference belongs to an address, and a request brings the id of a mail. That is a hash of campaign and address, so for each
campaign that is asked about the ids of those who refused are worked out, at a microsecond each, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from events import ids, preferences
from events.addresses import identity
from events.bus import Bus
from events.errors import BusError
from events.tokens import Ticket

CAMPAIGNS_KEPT: Final = 50
AGAIN_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 60.0
"""What somebody said here holds at once; by then it has come back as a preference of the address."""
_MOST_FRESH: Final = 10_000

_log = logging.getLogger(__name__)


class Refusals:
    """`run` must run."""

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self._addresses: dict[str, str] = {}
        self._mails: dict[str, set[str]] = {}
        self._fresh: dict[Ticket, tuple[float, bool]] = {}

    def holds(self, ticket: Ticket) -> bool:
        """Whether the reader of this mail does not want to be counted."""
        if self._fresh and (said := self._fresh.get(ticket)) and self._clock() - said[0] < FRESH_SECONDS:
            return said[1]
        return bool(self._addresses) and ticket.mail_id in self._of_campaign(ticket.campaign)

    def say(self, ticket: Ticket, *, refused: bool) -> None:
        """Somebody said so just now."""
        if len(self._fresh) >= _MOST_FRESH:
            self._fresh.clear()
        self._fresh[ticket] = self._clock(), refused

    def _of_campaign(self, campaign: str) -> set[str]:
        mails = self._mails.pop(campaign, None)
        if mails is None:
            mails = {ids.mail_id(campaign, identity(address)) for address in self._addresses.values()}
        self._mails[campaign] = mails
        while len(self._mails) > CAMPAIGNS_KEPT:
            del self._mails[next(iter(self._mails))]
        return mails

    async def run(self) -> None:
        """Follows the preferences until it is cancelled."""
        while True:
            try:
                async for key, preference in preferences.follow(self._bus):
                    if preference is None or preference.tracked:
                        self._forget(key)
                    else:
                        self._learn(key, preference.address)
            except BusError as error:
                _log.debug("the watch on preferences ended: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)

    def _learn(self, key: str, address: str) -> None:
        self._addresses[key] = address
        for campaign, mails in self._mails.items():
            mails.add(ids.mail_id(campaign, identity(address)))

    def _forget(self, key: str) -> None:
        address = self._addresses.pop(key, None)
        if address is not None:
            for campaign, mails in self._mails.items():
                mails.discard(ids.mail_id(campaign, identity(address)))
