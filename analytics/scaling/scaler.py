"""Looks, decides, and tells: in metrics, and in the bucket `ingest` for everybody else, and for the next ingester."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from analytics import queues
from analytics.errors import AnalyticsError
from analytics.patience import Patience
from analytics.scaling import gathering, gauges, memory, seen, stored
from analytics.scaling.deciding import decide
from analytics.scaling.decision import Decision, State
from analytics.scaling.memory import Memory
from analytics.scaling.seen import Seen, Tried
from analytics.scaling.settings import ScalingSettings
from analytics.scaling.stored import STALE_SECONDS, Stored
from analytics.settings import AnalyticsSettings
from events import campaigns
from events.bus import Bus
from events.errors import BusError
from events.ledger import Ledger
from events.patience import Stopped, sleep

ONCE_PER_SECOND: Final = 1.0
COUNT_SECONDS: Final = 5.0
"""So often ClickHouse is asked how far campaigns are."""
_STORE_SECONDS: Final = 5.0
_NEWS: Final = frozenset({"provider_limited", "at_max"})
"""Reasons that are worth a line in the log whenever they begin; others come and go."""
_SHARE: Final = 0.02
"""Of the time of an ingester that working it out may take, however many campaigns there are."""

_log = logging.getLogger(__name__)


class Ledgers(Protocol):
    """`analytics.reports.Reports`, as far as it matters here."""

    async def ledger(self, campaign: str) -> Ledger: ...


async def run(
    bus: Bus,
    reports: Ledgers,
    settings: AnalyticsSettings,
    *,
    clock: Callable[[], float],
    stop: asyncio.Event,
    count_seconds: float = COUNT_SECONDS,
) -> None:
    """Decide every second, until `stop` is set, whatever becomes of ClickHouse."""
    scaler = Scaler(bus, settings.scaling, clock)
    deciding, counting = Patience("scale", settings, stop), Patience("forecast", settings, stop)
    beside = asyncio.create_task(again(lambda: scaler.count(reports), lambda: count_seconds, counting, stop))
    try:
        await again(scaler.look, lambda: scaler.pause_seconds, deciding, stop)
    finally:
        beside.cancel()  # it may wait for a ClickHouse that does not answer
        await asyncio.wait({beside})


async def again(
    call: Callable[[], Awaitable[object]], seconds: Callable[[], float], patience: Patience, stop: asyncio.Event
) -> None:
    """Call it until `stop` is set, with so many seconds between, whatever happens to it: senders that are wanted too late are no
    reason to end an ingester."""
    with contextlib.suppress(Stopped):
        while not await sleep(seconds(), stop):
            try:
                await patience.insist(call)
            except Stopped:
                raise
            except Exception as error:
                if not isinstance(error, BusError | AnalyticsError):
                    _log.exception("working out how many senders are wanted failed")
                await patience.wait(error)


class Scaler:
    """Several may decide: all come to about the same. Methods raise `RetryLater`, and can be repeated."""

    def __init__(self, bus: Bus, settings: ScalingSettings, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._known: Stored | None = None
        self._decided_at = 0.0
        self._stored_at = 0.0
        self._took = 0.0
        self._moving: list[str] = []
        self._counted: dict[str, Tried] = {}
        self._counted_at = 0.0

    @property
    def pause_seconds(self) -> float:
        """Until the next look."""
        return max(ONCE_PER_SECOND, self._took / _SHARE)

    async def look(self) -> Decision:
        """Measure, decide and tell."""
        if self._clock() - self._decided_at > STALE_SECONDS:
            gauges.hide()
        before = self._known or await stored.read(self._bus)
        found = await self._see()
        lately = before is not None and found.now - before.decision.at <= STALE_SECONDS
        began = time.perf_counter()
        known = memory.remember(before.memory if before else Memory(), found)
        situation = gathering.situation(found, known, self._settings)
        decision, state = decide(situation, self._settings, before.state if before and lately else State())
        self._took = time.perf_counter() - began
        gauges.show(decision)
        self._decided_at = self._clock()
        await self._store(Stored(decision, state, known))
        return decision

    async def count(self, reports: Ledgers) -> None:
        """Ask ClickHouse how far campaigns are. Raises `ClickHouseUnavailable`, too."""
        counted = {name: await reports.ledger(name) for name in self._moving}
        self._counted |= {name: Tried(max(0, found.queued), found.retrying) for name, found in counted.items()}
        self._counted_at = self._clock()

    async def _see(self) -> Seen:
        measured = await queues.measure(self._bus)
        known = await campaigns.all_of(self._bus)
        unfinished = [one.id for one in known if one.finished_at is None]
        self._moving = [name for name in unfinished if measured.due_of(name) or measured.batches.get(name)]
        self._counted = {name: self._counted[name] for name in unfinished if name in self._counted}
        fresh = self._clock() - self._counted_at <= STALE_SECONDS
        return await seen.look(self._bus, measured, known, self._counted if fresh else {})

    async def _store(self, document: Stored) -> None:
        """When it says something else, and now and then, so that it does not become stale."""
        before, self._known = self._known, document
        decision, last = document.decision, None if before is None else before.decision
        if last is None or decision.wanted != last.wanted or decision.reason in _NEWS - {last.reason}:
            _log.info("%d senders wanted (%s): %s", decision.wanted, decision.reason, decision.why)
        elif decision.reason == last.reason and decision.at - self._stored_at < _STORE_SECONDS:
            return
        await stored.write(self._bus, document)
        self._stored_at = decision.at
