"""Who hosts the domains of recipients that their names do not tell: Google Workspace, Microsoft 365 and others, by MX records.

A company's domain whose mail goes to Google is throttled by Google's limits, so its mails belong into Google's lane. Off unless
`producer.mx_lookup` is set: then each domain is looked up once a day by each producer, before the first batch that has it.
A lookup that fails changes nothing but the lane: the domain counts as `other`, and is asked for again some minutes later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from events.providers import Provider, provider_of_exchanger
from producer.recipients.recipient import Recipient
from producer.resolver import Unanswered

KEPT_SECONDS: Final = 86_400.0
"""How long an answer is believed. Companies change their mail provider once in years."""
ASKED_AGAIN_SECONDS: Final = 600.0
"""After a lookup that failed."""
LONGEST_SECONDS: Final = 20.0
"""A batch waits for lookups no longer; what has no answer by then counts as `other`."""
AT_ONCE: Final = 100
"""Lookups under way together, which any resolver bears."""
_KEPT: Final = 200_000
"""Domains remembered: some 30 MB."""
_NEVER_ASKED: Final = (".test", ".example", ".invalid", ".localhost", ".example.com", ".example.net", ".example.org")
"""Reserved names (RFC 2606), which the DNS knows nothing of."""

_log = logging.getLogger(__name__)

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The mail exchangers of a domain. Raises `Unanswered`."""


class Hosting:
    def __init__(self, lookup: Lookup, clock: Callable[[], float], longest_seconds: float = LONGEST_SECONDS) -> None:
        self._lookup = lookup
        self._clock = clock
        self._longest_seconds = longest_seconds
        self._known: dict[str, tuple[Provider, float]] = {}
        """By domain: the provider, and until when that is believed."""

    async def place(self, rows: list[Recipient]) -> list[Recipient]:
        """The same recipients, each with the provider that hosts its domain."""
        named = {_domain(row) for row in rows if row.provider == "other"}
        domains = {domain for domain in named if not f".{domain}".endswith(_NEVER_ASKED)}
        await self._learn(domains)
        hosted = {domain: known[0] for domain in domains if (known := self._known.get(domain)) and known[0] != "other"}
        if not hosted:
            return rows
        return [_placed(row, hosted) if row.provider == "other" else row for row in rows]

    async def _learn(self, domains: Collection[str]) -> None:
        now = self._clock()
        unknown = [domain for domain in domains if self._known.get(domain, ("other", 0.0))[1] <= now]
        if not unknown:
            return
        if len(self._known) + len(unknown) > _KEPT:
            self._known.clear()
        gate = asyncio.Semaphore(AT_ONCE)
        asking = [asyncio.create_task(self._ask(domain, gate)) for domain in unknown]
        _, late = await asyncio.wait(asking, timeout=self._longest_seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        missing = [domain for domain in unknown if self._known.get(domain, ("other", 0.0))[1] <= now]
        if missing:
            _log.warning("%d of %d domains could not be looked up, such as %s", len(missing), len(unknown), missing[0])
            self._known.update((domain, ("other", now + ASKED_AGAIN_SECONDS)) for domain in missing)

    async def _ask(self, domain: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                exchangers = await self._lookup(domain)
            except Unanswered as error:
                _log.debug("%s", error)
                return
        self._known[domain] = (provider_of(exchangers), self._clock() + KEPT_SECONDS)


def provider_of(exchangers: Sequence[str]) -> Provider:
    """The provider that the preferred exchanger belongs to; a filtering service before it hides whose mailbox it is. Pure."""
    return provider_of_exchanger(exchangers[0]) if exchangers else "other"


def _domain(row: Recipient) -> str:
    return row.address.rpartition("@")[2]


def _placed(row: Recipient, hosted: Mapping[str, Provider]) -> Recipient:
    provider = hosted.get(_domain(row))
    return row if provider is None else msgspec.structs.replace(row, provider=provider)
