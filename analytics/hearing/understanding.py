"""What one callback comes to: its events by the ESP's file, our mails, facts. It changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from analytics.bounces import telling
from analytics.callbacks.base import Event, Request
from analytics.callbacks.registry import ESPS
from analytics.hearing import confirming, meaning
from analytics.hearing.mails import Mails
from events import callbacks, facts
from events.bus import Bus
from events.callbacks import Callback
from events.errors import BusError
from events.facts import Reaction
from events.suppression import Entry

HEARD: Final = {**ESPS, telling.NAME: telling.ESP}
"""Who tells us what became of mails: ESPs, and mail servers by bounces."""

_log = logging.getLogger(__name__)


class Understood(NamedTuple):
    facts: tuple[Reaction, ...] = ()
    entries: tuple[Entry, ...] = ()
    """Whom to suppress for mails that are not ours."""
    counts: tuple[tuple[str, str], ...] = ()
    """Event and result of what states no fact, for the metric."""
    confirm: str = ""
    """An address to be asked for, to confirm a subscription."""
    fault: str = ""
    """What we stumbled over in a part of it; the rest is understood all the same."""


class Understanding:
    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._mails = Mails(bus, clock)

    async def of(self, callback: Callback) -> Understood:
        """Raises `RetryLater`, and whatever the callback as a whole makes us stumble over."""
        body = await self.body_of(callback)
        told = HEARD[callback.esp].tell(Request(callback.headers, body, None))
        stated: list[Reaction] = []
        entries: list[Entry] = []
        counts = [("", "unknown_type")] * len(told.unknown) + [("", "unreadable")] * told.broken
        faults = set(told.faults)
        for kind in set(told.unknown):
            _log.info("%s told of %r, which this release does not know", callback.esp, kind)
        for event in told.events:
            try:
                result = await self._take(event, callback, stated, entries)
            except BusError:
                raise
            except Exception as error:
                _log.exception("an event of %s is one that we stumble over", callback.esp)
                faults.add(f"{type(error).__name__}: {error}")
                continue
            if result:
                counts.append((event.event, result))
        url = confirming.address_in(callback.esp, callback.headers, body)
        return Understood(tuple(stated), tuple(entries), tuple(counts), url, "; ".join(sorted(faults)))

    async def body_of(self, callback: Callback) -> bytes:
        """As it came. Raises `RetryLater`, and other errors where it is damaged or gone."""
        return callbacks.body_of(callback, await callbacks.stored_body(self._bus, callback))

    async def _take(self, event: Event, callback: Callback, stated: list[Reaction], entries: list[Entry]) -> str:
        """Adds what the event comes to; returns what else is to be counted."""
        about = await self._mails.find(event)
        if about is None:
            entry = meaning.entry_of(event, callback.esp, callback.endpoint, callback.received_at, callback.suppress)
            entries += [entry] if entry else []
            return "unknown_mail"
        fact = meaning.fact_of(event, about, callback.esp, callback.received_at, callback.suppress)
        if fact is None:
            return "silent"
        try:
            facts.encode(fact)
        except UnicodeEncodeError:  # half a character, which JSON can spell
            return "unreadable"
        stated.append(fact)
        return ""
