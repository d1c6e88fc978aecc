"""Lets scheduled campaigns go when their time has come, or pauses those whose start was missed (`events.schedule`).

Every sender of a campaign's pool watches the clock, and decides by compare-and-set: the first does it, the others find it done.
A sender does it because it must be one who can send: a start that was stated while no sender was there would be late mail that
nobody asked about. That a campaign started is stated until the campaign itself says so, whoever let it go and whoever died.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from events import facts, schedule, streams
from events.bus import Bus, Message
from events.campaigns import CampaignNotFound, change
from events.errors import BusError
from events.facts import SendingStarted
from events.schemas import Campaign
from sender import campaigns
from sender.patience import Patience

_log = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS: Final = 30.0
"""Looked at the clock at least this often while a campaign waits for its start: clocks are set, and machines sleep."""


class Starts:
    """The campaigns of some pools that wait for their start, or were let go and it is not stated yet."""

    def __init__(self, bus: Bus, clock: Callable[[], float], pools: frozenset[str]) -> None:
        self._bus = bus
        self._clock = clock
        self._pools = pools
        self._waiting: dict[str, Campaign] = {}
        self._news = asyncio.Event()

    def take_note(self, key: str, campaign: Campaign | None) -> None:
        """The newest state of a campaign; None: it was deleted."""
        known = self._waiting.pop(key, None)
        if campaign is not None and campaigns.is_open(campaign, self._pools) and _is_unsettled(campaign):
            self._waiting[key] = campaign
        if self._waiting.get(key) != known:
            self._news.set()

    async def watch_the_clock(self, patience: Patience) -> None:
        """Until cancelled."""
        while True:
            self._news.clear()
            try:
                await self.look()
            except Exception as error:
                if not isinstance(error, BusError):
                    _log.exception("looking for campaigns that are to start failed")
                await patience.wait(error)
                continue
            patience.succeeded()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_to_wait()):
                    await self._news.wait()

    def seconds_to_wait(self) -> float | None:
        """Until the next start, or the next look at the clock; None: nothing waits for its start."""
        now = self._clock()
        starts = [
            one.starts_at - now for one in self._waiting.values() if one.is_scheduled and one.starts_at is not None
        ]
        return min(_LONGEST_WAIT_SECONDS, max(0.0, min(starts))) if starts else None

    async def look(self) -> None:
        """Decide about what is due, and state what was let go. Raises `RetryLater`; harmless to repeat."""
        for key, campaign in list(self._waiting.items()):
            with suppress(CampaignNotFound):
                if schedule.is_due(campaign, self._clock()):
                    campaign = await change(self._bus, key, lambda newest: schedule.begin(newest, self._clock()))  # noqa: PLW2901
                    _log_decision(campaign)
                if campaign.started_at is not None and not campaign.start_stated:
                    campaign = await self._state(campaign, campaign.started_at)  # noqa: PLW2901
            if self._waiting.get(key) is not None:
                self.take_note(key, campaign)

    async def _state(self, campaign: Campaign, at: float) -> Campaign:
        fact = SendingStarted(campaign.id, at, scheduled_for=at if campaign.starts_at is None else campaign.starts_at)
        await self._bus.publish(
            streams.EVENTS.name, [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))]
        )
        return await change(self._bus, campaign.id, lambda newest: msgspec.structs.replace(newest, start_stated=True))


def _is_unsettled(campaign: Campaign) -> bool:
    if campaign.is_scheduled:
        return campaign.status in {"planning", "running"}
    return campaign.starts_at is not None and not campaign.start_stated


def _log_decision(campaign: Campaign) -> None:
    if campaign.pause_reason == schedule.PAST_DUE:
        _log.error("campaign %s is paused. %s", campaign.id, campaign.pause_note)
    elif campaign.started_at is not None and campaign.starts_at is not None:
        late = campaign.started_at - campaign.starts_at
        _log.info("campaign %s starts, %.1f s after its time", campaign.id, late)
