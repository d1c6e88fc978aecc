"""Closes campaigns: finds those with nothing left to do, states that they are done, and clears up after them.

A campaign is finished when every recipient has one final outcome, counted recipient by recipient, and nothing of it lies in
any queue. A cancelled one is closed when nothing has happened to it for a while; what was planned and has no outcome by
then is stated as cancelled. Compiled campaign and dictionary stay: mails in the DLQ may be replayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from analytics import progress, queues
from analytics.patience import Patience
from analytics.queues import Queues
from analytics.reports import Reports
from analytics.settings import AnalyticsSettings
from events import breaker, campaigns, facts, plans, streams, subjects
from events.bus import Bus, Message
from events.ledger import Ledger
from events.patience import Stopped, sleep
from events.schemas import Campaign

_CLEARED_AGAIN_SECONDS: Final = 3_600.0
"""What was closed this recently is cleared up again at the start: the process may have died in the middle of it."""

_FORGET_EVERY_SECONDS: Final = 6 * 3_600.0

_log = logging.getLogger(__name__)


class Close(msgspec.Struct, frozen=True):
    status: Literal["finished", "cancelled"]
    cancelled: int
    """Recipients that were planned and have no outcome."""


class Quiet(msgspec.Struct):
    """Since when nothing has happened to a campaign."""

    ledger: Ledger
    since: float
    ingested: int
    """Up to which event the ledger had been counted when it was looked at last."""
    barrier: int | None = None
    """The newest event when the quiet had lasted long enough: it has to be in ClickHouse before the ledger is believed."""


def decide(campaign: Campaign, ledger: Ledger, *, left: int, quiet: bool) -> Close | None:
    """`ledger` is the exact one; `left` counts the campaign's batches and mails in all queues.

    A cancelled campaign needs quiet: its mails were purged, so a sender may still hold some that no queue shows.
    """
    if left or campaign.finished_at is not None:
        return None
    match campaign.status:
        case "running" | "paused":
            done = ledger.balanced and campaign.planned == ledger.planned
            return Close("finished", 0) if done else None
        case "cancelled":
            outcomes = ledger.settled - ledger.cancelled
            return Close("cancelled", max(0, ledger.planned - outcomes)) if quiet else None
        case "planning" | "finished":
            return None


async def run(
    bus: Bus, reports: Reports, settings: AnalyticsSettings, *, clock: Callable[[], float], stop: asyncio.Event
) -> None:
    """Look at the queues and at every open campaign again and again, until `stop` is set."""
    patience = Patience("close", settings, stop)
    closing = Closing(bus, reports, settings, clock)
    with contextlib.suppress(Stopped):
        await patience.insist(reports.migrate)  # the ingester may not have come to it yet
        await patience.insist(closing.clear_recently_closed)
        while not await sleep(settings.closing_interval_seconds, stop):
            await patience.insist(closing.forget_old_plans)
            await patience.insist(closing.look)


class Closing:
    """What was seen of the open campaigns. Methods raise `RetryLater` or `ClickHouseUnavailable` and can be repeated."""

    def __init__(self, bus: Bus, reports: Reports, settings: AnalyticsSettings, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._reports = reports
        self._settings = settings
        self._clock = clock
        self._quiet: dict[str, Quiet] = {}
        self._counted_at: dict[str, float] = {}
        self._forgot_at = 0.0

    async def look(self) -> None:
        """Measure the queues, and close what is done."""
        measured = await queues.measure(self._bus)
        known = await campaigns.all_of(self._bus)
        queues.show(measured, known)
        queues.show_campaigns(known)
        for campaign in known:
            if campaign.finished_at is None and campaign.status != "planning":
                await self._look_at(campaign, measured)

    async def _look_at(self, campaign: Campaign, measured: Queues) -> None:
        if measured.due_of(campaign.id) or measured.batches.get(campaign.id):
            self._quiet.pop(campaign.id, None)
            return
        now = self._clock()
        quiet = self._quiet.get(campaign.id)
        # Where nothing was inserted since, it is not counted again. Before the first range there is nothing to go by.
        counted = quiet is not None and quiet.ingested == measured.ingested > 0
        ledger = quiet.ledger if quiet is not None and counted else await self._reports.ledger(campaign.id)
        if quiet is None or quiet.ledger != ledger:
            quiet = self._quiet[campaign.id] = Quiet(ledger, now, measured.ingested)
        quiet.ingested = measured.ingested
        is_quiet = await self._is_quiet(quiet, measured)
        if _is_promising(campaign, ledger, measured, is_quiet) and self._may_count(campaign, now):
            await self._count(campaign, is_quiet)

    async def _is_quiet(self, quiet: Quiet, measured: Queues) -> bool:
        if self._clock() - quiet.since < self._settings.cancel_quiet_seconds:
            return False
        if quiet.barrier is None:
            quiet.barrier = measured.last_event
        return await progress.ingested(self._bus) >= quiet.barrier

    def _may_count(self, campaign: Campaign, now: float) -> bool:
        """A campaign that is about to be done is counted at once, and then not all the time."""
        if now - self._counted_at.get(campaign.id, 0.0) < self._settings.exact_check_interval_seconds:
            return False
        self._counted_at[campaign.id] = now
        return True

    async def _count(self, campaign: Campaign, is_quiet: bool) -> None:
        """Recipient by recipient, and close it if that shows that it is done."""
        waiting = await self._bus.count_by_subject(streams.MAIL.name, subjects.mail_waiting_of_campaign(campaign.id))
        ledger = await self._reports.exact_ledger(campaign.id)
        close = decide(campaign, ledger, left=sum(waiting.values()), quiet=is_quiet)
        if close is not None:
            await self._close(campaign, close)
        elif is_quiet and not waiting and campaign.status == "running":
            _log.error("campaign %s has nothing in any queue and does not balance: %s", campaign.id, ledger)

    async def _close(self, campaign: Campaign, close: Close) -> None:
        """State it first: whoever sees the status finds the fact. A campaign that was reopened since it was counted goes on."""
        now = self._clock()
        fact = facts.CampaignClosed(campaign.id, now, close.status, close.cancelled, campaign.reopened)
        message = Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))
        await self._bus.publish(streams.EVENTS.name, [message])
        closed = await campaigns.change(self._bus, campaign.id, lambda newest: _finished(newest, campaign, now))
        if closed.finished_at is None:
            return
        await self._clear(closed)
        self._quiet.pop(campaign.id, None)
        self._counted_at.pop(campaign.id, None)
        _log.info("campaign %s is %s, %d recipients cancelled", campaign.id, closed.status, close.cancelled)

    async def clear_recently_closed(self) -> None:
        for campaign in await campaigns.all_of(self._bus):
            if campaign.finished_at is not None and self._clock() - campaign.finished_at < _CLEARED_AGAIN_SECONDS:
                await self._clear(campaign)
            elif campaign.reopened and campaign.finished_at is None:
                await self._restore_lanes(campaign)

    async def forget_old_plans(self) -> None:
        """Once in a while: where EVENTS has forgotten what became of a campaign, forget whom it planned."""
        now = self._clock()
        if now - self._forgot_at < _FORGET_EVERY_SECONDS:
            return
        for campaign in await campaigns.all_of(self._bus):
            if campaign.finished_at is not None and now - campaign.finished_at > streams.EVENTS.max_age_seconds:
                last = max(await self._reports.batches_planned(campaign.id), campaign.batches or 0)
                if await plans.forget(self._bus, campaign.id, last):
                    _log.info("the plan of campaign %s is as old as EVENTS, and is deleted", campaign.id)
        self._forgot_at = now

    async def _clear(self, campaign: Campaign) -> None:
        """Delete the campaign's consumers, the recipients of its batches, and what its senders shared about its lanes."""
        for lane in streams.lanes(campaign.id, campaign.pool):
            await self._bus.delete_consumer(lane.stream, lane.name)
        blobs = await self._bus.blobs()
        last = max(await self._reports.batches_planned(campaign.id), campaign.batches or 0)
        for number in range(1, last + 1):
            await blobs.delete(f"{campaign.id}/batch/{number}")
        await breaker.forget(self._bus, campaign.id)
        newest = await campaigns.get(self._bus, campaign.id)
        if newest.finished_at is None:  # reopened while its lanes were being deleted
            await self._restore_lanes(newest)

    async def _restore_lanes(self, campaign: Campaign) -> None:
        for lane in streams.lanes(campaign.id, campaign.pool):
            await self._bus.create_consumer(lane)


def _finished(newest: Campaign, counted: Campaign, now: float) -> Campaign:
    """The transition that closes a campaign as it was counted."""
    return campaigns.finish(newest, now) if newest.reopened == counted.reopened else newest


def _is_promising(campaign: Campaign, ledger: Ledger, measured: Queues, is_quiet: bool) -> bool:
    """Whether counting exactly may show that the campaign is done, told from what costs little."""
    match campaign.status:
        case "cancelled":
            return is_quiet
        case _:
            return ledger.balanced or (is_quiet and not measured.waiting)
