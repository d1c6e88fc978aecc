"""What becomes of a mail that came to a return path: kept if it is proven to be about a mail of ours, counted if not.

It is read once here, to know whose it is, and again by `analytics.hearing`, which says what it means: so whoever writes here can
only bring what its own mail proves, and what was taken is on the bus before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from analytics.bounces import correlation, read, telling
from analytics.bounces.base import Report
from analytics.bounces.correlation import Ours
from events import callbacks, campaigns, metrics, streams
from events.bus import Bus
from events.callbacks import Callback
from events.errors import RetryLater
from events.tokens import Checker
from events.verp import VerpChecker, mark_of

Result: TypeAlias = Literal["kept", "nothing", "not_ours"]

KEPT_BYTES: Final = 256 * 1024
"""Of a mail: what a notice says comes first, and the rest is the mail that it gives back."""
LOOKED_AGAIN_SECONDS: Final = 30.0
"""After so long a campaign that was not there is looked for again."""
STORED_WITHIN_SECONDS: Final = 20.0

_log = logging.getLogger(__name__)


class Intake:
    def __init__(self, bus: Bus, verp: VerpChecker, links: Checker | None, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._verp = verp
        self._links = links
        self._clock = clock
        self._campaigns: dict[str, str] = {}
        """By mark."""
        self._missed: dict[str, float] = {}
        """When a mark was last looked for in vain: its campaign is gone."""
        self._looking = asyncio.Lock()

    async def take(self, sent_to: Sequence[str], raw: bytes, endpoint: str) -> Result:
        """`sent_to`: where it was sent, as the envelope says. Raises `RetryLater`: then it was not taken."""
        raw = raw[:KEPT_BYTES]
        report = await asyncio.to_thread(read.read, raw)
        report = msgspec.structs.replace(report, sent_to=(*sent_to, *report.sent_to))
        ours = await self._identify(report)
        result = await self._keep(report, ours, raw, endpoint)
        metrics.BOUNCE_MAILS.labels(report.kind, result).inc()
        return result

    async def _identify(self, report: Report) -> Ours | None:
        """A campaign that is not known may be new. Mails that name it meanwhile wait, too."""
        named = correlation.marks(report, self._verp)
        if self._unknown(named):
            async with self._looking:
                if unknown := self._unknown(named):
                    await self._look(unknown)
        return correlation.identify(report, self._verp, self._links, self._campaigns.get)

    def _unknown(self, named: set[str]) -> set[str]:
        """Those to be looked for: without the ones that were not there a moment ago."""
        since = self._clock() - LOOKED_AGAIN_SECONDS
        return {mark for mark in named - self._campaigns.keys() if self._missed.get(mark, since) <= since}

    async def _look(self, wanted: set[str]) -> None:
        self._campaigns = {mark_of(one.id): one.id for one in await campaigns.all_of(self._bus)}
        self._missed |= dict.fromkeys(wanted - self._campaigns.keys(), self._clock())

    async def _keep(self, report: Report, ours: Ours | None, raw: bytes, endpoint: str) -> Result:
        if ours is None or not ours.proven:
            _log.debug("a mail of kind %s is not proven to be about one of ours", report.kind)
            return "not_ours"
        if not telling.events(report, ours):
            return "nothing"
        callback = Callback(telling.NAME, endpoint, self._clock(), telling.headers(ours), b"")
        callback = callbacks.with_body(callback, raw)
        message = callbacks.message_of(callback, callbacks.id_of(callback, raw))
        try:
            async with asyncio.timeout(STORED_WITHIN_SECONDS):
                await self._bus.append(streams.CALLBACKS.name, [message])
        except TimeoutError:
            raise RetryLater("NATS does not answer") from None
        return "kept"
