"""Fetches mails for the lanes of every open campaign, and keeps the holds on them alive.

A lane opens when its campaign appears and closes when the campaign is finished. While the campaign is paused nothing is
fetched, and what is held already stays held, unclaimed: giving it back would use up one of its deliveries, and after
`streams.MAX_DELIVERIES` a mail counts as one that kills its workers. A sender that stops gives everything back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from math import ceil
from typing import Final, TypeVar

from events import providers, streams
from events.bus import Bus
from events.errors import BusError
from events.schemas import Campaign
from sender import admission, campaigns, stopping
from sender.breaker.keeper import Breaker
from sender.campaigns import Dictionaries
from sender.lanes import Held, Lane, Lanes
from sender.patience import Expectant, Patience
from sender.settings import SenderSettings
from sender.starts import Starts
from sender.throttle.throttle import Throttle

T = TypeVar("T")
_log = logging.getLogger(__name__)

_BEHIND_A_CANARY: Final = 5_000
"""Mails of a lane that are held at most while its first tries wait for the canary: the retries, for which it waits, come behind
them. A lane's consumer gives out no more at a time, to all senders together (`streams.ConsumerSpec.max_ack_pending`)."""

_LOOKS: Final = 4
"""So often holds are looked at in the time after which they are extended."""

_LONGEST_SLEEP_SECONDS: Final = 10.0
"""A lane that is shut for longer is looked at again after this, although it tells when it opens sooner: machines sleep, and
clocks are set."""


class Intake:
    def __init__(
        self,
        bus: Bus,
        settings: SenderSettings,
        clock: Callable[[], float],
        lanes: Mapping[str, Lanes],
        breaker: Breaker,
        throttle: Throttle,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._breaker = breaker
        self._throttle = throttle
        breaker.on_change = self.look_again
        self._lanes = lanes
        self._pools = frozenset(lanes)
        self._dictionaries = Dictionaries(bus)
        self._campaigns: dict[str, Campaign] = {}
        self._news: dict[str, asyncio.Event] = {}
        """Set when the campaign has changed, and then replaced."""
        self._feeding: dict[str, list[asyncio.Task[None]]] = {}
        self._expected: dict[str, Expectant] = {}
        """By campaign, for all its lanes: what its launch is about to make."""
        self.starts = Starts(bus, clock, self._pools)
        self.open: set[Lane] = set()

    async def run(self) -> None:
        """Follow the campaigns, let those go whose start has come, and keep holds alive, until cancelled."""
        watching = self.starts.watch_the_clock(Patience("schedule", self._settings.retry_pause_seconds))
        beside = [asyncio.create_task(self._keep_holds()), asyncio.create_task(watching)]
        try:
            async for key, campaign in campaigns.follow(
                self._bus, Patience("watch", self._settings.retry_pause_seconds)
            ):
                self.starts.take_note(key, campaign)
                await self._change(key, campaign)
        finally:
            for task in beside:
                task.cancel()

    async def _change(self, key: str, campaign: Campaign | None) -> None:
        if campaign is None or not campaigns.is_open(campaign, self._pools):
            await self._close_campaign(key)
            return
        before = self._campaigns.get(key)
        self._campaigns[key] = campaign
        if before is not None and before.routes != campaign.routes:
            await self._follow_routes(before, campaign)
        if (news := self._news.pop(key, None)) is not None:
            news.set()
        self._breaker.follow(campaign)
        for lane in self.open:
            if lane.campaign.id == key:
                lane.becomes(campaign)
                self._breaker.mark(lane)
                self._throttle.attach(lane, self._lanes[lane.pool].notify)
        for pool in {lane.pool for lane in self.open if lane.campaign.id == key}:
            self._lanes[pool].notify()
        if key not in self._feeding:
            self._expected[key] = Expectant(key, self._settings.retry_pause_seconds)
            self._feeding[key] = [asyncio.create_task(self._serve(key, name)) for name in providers.PROVIDERS]

    async def _follow_routes(self, before: Campaign, campaign: Campaign) -> None:
        """Lanes that are another sender's from now on are closed, those that become ours are opened. The others keep what they
        hold: to give it back would use up a delivery of each mail, and `routing` moves them to another pool."""
        key, feeding = campaign.id, self._feeding.get(campaign.id, [])
        for number, (provider, task) in enumerate(zip(providers.PROVIDERS, feeding.copy(), strict=False)):
            was, is_ours = (campaigns.route_of(one, provider, self._pools) for one in (before, campaign))
            if was and not is_ours:
                await stopping.cancel([task])
                for lane in [lane for lane in self.open if lane.campaign.id == key and lane.provider == provider]:
                    await self._close_lane(lane)
            elif is_ours and not was:
                feeding[number] = asyncio.create_task(self._serve(key, provider))

    async def _close_campaign(self, key: str) -> None:
        await stopping.cancel(self._feeding.pop(key, []))
        for lane in [lane for lane in self.open if lane.campaign.id == key]:
            await self._close_lane(lane)
        self._campaigns.pop(key, None)
        self._news.pop(key, None)
        self._expected.pop(key, None)
        self._dictionaries.forget(key)
        self._breaker.forget(key)
        await self._throttle.forget(key)

    def look_again(self, campaign: str) -> None:
        """Lanes of the campaign may have been stopped, or let go."""
        lanes = [lane for lane in self.open if lane.campaign.id == campaign]
        for lane in lanes:
            self._breaker.mark(lane)
            lane.changed.set()
        for pool in {lane.pool for lane in lanes}:
            self._lanes[pool].notify()

    def lapses(self, sequence: int) -> int:
        """How often this process held a mail of MAIL for too long, and lived."""
        return sum(lane.lapses[sequence] for lane in self.open)

    async def stop_fetching(self) -> None:
        """From here on nothing is fetched; what is held stays held."""
        await stopping.cancel([task for tasks in self._feeding.values() for task in tasks])

    async def close(self) -> None:
        """Give back everything that was not settled. Where NATS does not answer it comes again by itself."""
        await self.stop_fetching()
        for lane in list(self.open):
            await self._close_lane(lane)

    async def _close_lane(self, lane: Lane) -> None:
        self.open.discard(lane)
        self._lanes[lane.pool].remove(lane)
        self._throttle.detach(lane)
        with suppress(BusError):
            await lane.consumer.close()
            await lane.consumer.release([held.delivery for held in lane.waiting])
        lane.forget(lane.waiting)
        lane.waiting.clear()

    async def _serve(self, campaign: str, provider: str) -> None:
        """Open the lane as soon as it exists, and feed it until cancelled; not one whose preferred pool is another sender's."""
        if not campaigns.route_of(self._campaigns[campaign], provider, self._pools):
            return
        decompressor = await self._once_there(campaign, lambda: self._dictionaries.decompressor(campaign))
        name = streams.lane_name(campaign, self._campaigns[campaign].pool, provider)
        consumer = await self._once_there(campaign, lambda: self._bus.consumer(streams.MAIL.name, name))
        lane = Lane(self._campaigns[campaign], provider, consumer, decompressor, self._bus.timing.hold_seconds)
        self._breaker.mark(lane)
        self.open.add(lane)
        self._lanes[lane.pool].add(lane)
        self._throttle.attach(lane, self._lanes[lane.pool].notify)
        patience = Patience("feed", self._settings.retry_pause_seconds)
        while True:
            try:
                await self._feed(lane, patience)
            except BusError as error:
                await patience.wait(error)
            except Exception as error:
                _log.exception("feeding lane %s failed", name)
                await patience.wait(error)

    async def _once_there(self, campaign: str, call: Callable[[], Awaitable[T]]) -> T:
        """What a launch is about to make: asked for again after a while, and whenever the campaign has changed, as when it is
        planned."""
        patience = self._expected[campaign]
        while True:
            news = self._news.setdefault(campaign, asyncio.Event())
            try:
                found = await call()
            except BusError as error:
                waiting = [asyncio.create_task(patience.wait(error)), asyncio.create_task(_wait(news))]
                try:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in waiting:
                        task.cancel()
            else:
                patience.succeeded()
                return found

    async def _feed(self, lane: Lane, patience: Patience) -> None:
        settings = self._settings
        outstanding, began = 0, self._clock()
        while True:
            await self._until_hungry(lane)
            previous, began = began, self._clock()
            since = previous if outstanding else began  # what was asked for earlier may have been delivered earlier
            limit = outstanding or min(settings.fetch_mails, max(1, self._most_held(lane) - len(lane.waiting)))
            deliveries = await lane.consumer.fetch(limit, settings.fetch_wait_seconds)
            patience.succeeded()
            outstanding = limit - len(deliveries) if deliveries else 0
            lane.receive(deliveries, since)
            self._lanes[lane.pool].notify()

    async def _until_hungry(self, lane: Lane) -> None:
        while not self._is_hungry(lane):
            lane.changed.clear()
            shut = 0.0 if lane.gates is None else lane.gates.opens_in()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(shut, _LONGEST_SLEEP_SECONDS) or None):
                    await lane.changed.wait()

    def _is_hungry(self, lane: Lane) -> bool:
        most = self._most_held(lane)
        has_room = most > 0 and len(lane.waiting) <= most - min(self._settings.fetch_mails, ceil(most / 2))
        decision = admission.decide(lane.campaign, self._clock())
        stopped = lane.stopped and isinstance(decision, admission.Send)
        return has_room and not stopped and not isinstance(decision, admission.Hold)

    def _most_held(self, lane: Lane) -> int:
        """Mails of a slow lane are left to all senders, and those of a lane that is shut for long to whoever comes then."""
        usual = _BEHIND_A_CANARY if lane.first_tries_stopped else self._settings.prefetch_mails
        return usual if lane.gates is None else lane.gates.most_held(usual)

    async def _keep_holds(self) -> None:
        patience = Patience("extend", self._settings.retry_pause_seconds)
        while True:
            await asyncio.sleep(self._bus.timing.extend_after_seconds / _LOOKS)
            try:
                await self.extend_holds()
            except Exception as error:
                await patience.wait(error)
            else:
                patience.succeeded()

    async def extend_holds(self) -> None:
        """Extend what has been held for a while, in each lane, whatever another's consumer answers. Raises `BusError`."""
        answers = await asyncio.gather(*(self._extend(lane) for lane in list(self.open)), return_exceptions=True)
        for answer in answers:
            if answer is not None:
                raise answer

    async def _extend(self, lane: Lane) -> None:
        asked = self._clock()
        aging = [held for held in lane.unsettled.values() if asked - held.since > self._bus.timing.extend_after_seconds]
        if aging:
            await lane.consumer.extend([held.delivery for held in aging])
            _renew(aging, asked, self._clock())


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _renew(extended: list[Held], asked: float, confirmed: float) -> None:
    """An extension counts only if it was confirmed before the hold lapsed: otherwise somebody else may have the mail."""
    for held in extended:
        if confirmed - held.since <= held.lane.hold_seconds:
            held.since = max(held.since, asked)
