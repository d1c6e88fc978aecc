"""The breakers of all campaigns as one sender sees and moves them.

What turns counted is told once a second, and at once where it looks bad: one compare-and-set for each campaign, never one for
each mail. Whoever's write shows that a lane is beyond its limits stops it; the others see that in the bucket, within a moment.
A sender that cannot reach NATS goes on as it knew last; its reports wait.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from events import breaker, facts, streams
from events.breaker import EVERY_LANE, Health, Opening
from events.bus import Bus, Message
from events.errors import BusError
from events.facts import EmailAccepted, EmailBounced, EmailDeferred, EmailFailed
from events.metrics import BREAKERS_OPEN
from events.schemas import Campaign, CanaryRule
from sender.breaker import canary, counting, judging
from sender.breaker.followed import Followed
from sender.breaker.judging import Limits
from sender.breaker.settings import BreakerSettings
from sender.lanes import Held, Lane
from sender.outcomes import Record
from sender.patience import Patience

_log = logging.getLogger(__name__)

_LOOKS_BAD: Final = 5
"""So many bounces and blocks since the last report, and as many as mails that were accepted, are told at once."""
_AT_ONCE_SECONDS: Final = 0.05
_SILENT_ACK_WAITS: Final = 2
"""A sender that told nothing for so many ack-waits is dead: its mails came again by then."""


class Breaker:
    def __init__(self, bus: Bus, settings: BreakerSettings, clock: Callable[[], float], patience: Patience) -> None:
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._patience = patience
        self.on_change: Callable[[str], None] = _nobody_waits
        """Called with a campaign's id when lanes of it may have been stopped or let go."""
        self._sender = uuid.uuid4().hex[:12]
        self._campaigns: dict[str, Followed] = {}
        self._early: dict[str, Health] = {}
        """What the bucket says of campaigns that were not followed yet."""
        self.synced = asyncio.Event()
        """Everything that the bucket holds is known."""
        self._soon = asyncio.Event()
        self._looked_at = 0.0
        """When all campaigns were looked at last, by the event loop."""
        self._shown: dict[str, dict[str, Opening]] = {}

    # What turns ask and tell

    def follow(self, campaign: Campaign) -> None:
        """The campaign is open, or changed."""
        found = self._campaigns.get(campaign.id)
        if found is None:
            found = self._campaigns[campaign.id] = Followed(campaign)
            if (known := self._early.pop(campaign.id, None)) is not None:
                self._learn(campaign.id, known)
        found.campaign = campaign
        found.exhausted = False

    def forget(self, campaign: str) -> None:
        found = self._campaigns.pop(campaign, None)
        if found is not None:
            self._early[campaign] = found.known
            self._show(Health(campaign))

    def mark(self, lane: Lane) -> None:
        """Say whether the lane is stopped: all of it, or the mails that were never tried."""
        found = self._campaigns.get(lane.campaign.id)
        if found is not None:
            lane.stopped = breaker.opening_of(found.known, lane.key) is not None
            lane.hold_back_first_tries(found.exhausted and found.canary is not None)

    def needs_grants(self, lane: Lane) -> bool:
        """Whether mails that were never tried need to be granted: the campaign has a canary that is not decided."""
        found = self._campaigns.get(lane.campaign.id)
        return found is not None and found.canary is not None

    async def take(self, lane: Lane, limit: int) -> tuple[list[Held], int]:
        """Mails of the canary, retries of such, and how many grants they need: `count` tells what those became, and the rest has
        to be given back."""
        found = self._campaigns.get(lane.campaign.id)
        if found is None:
            return [], 0
        granted = 0
        wanted = sum(1 for held in islice(lane.waiting, limit) if held.mail.attempt == 1)
        if wanted and not found.exhausted:
            granted = await self._ask(found, wanted)
        held = lane.take_granted(limit, self._clock(), granted)
        used = sum(1 for one in held if one.mail.attempt == 1)
        self.give_back(lane, granted - used)
        return held, used

    async def _ask(self, found: Followed, wanted: int) -> int:
        try:
            granted = await self._tell(found, wanted)
        except BusError as error:
            found.changed = True
            await self._patience.wait(error)
            return 0
        if not granted:
            found.exhausted = True
            self.on_change(found.campaign.id)
        return granted

    def give_back(self, lane: Lane, grants: int) -> None:
        """These were granted and not tried."""
        found = self._campaigns.get(lane.campaign.id)
        if found is not None and grants:
            found.holding -= grants
            found.changed = True

    def count(self, lane: Lane, key: str, records: Sequence[Record]) -> int:
        """What became of mails of a turn that went by `key`; returns how many grants that used up."""
        found = self._campaigns.get(lane.campaign.id)
        if found is None:
            return 0
        tally = found.tally(key)
        others = [record.fact for record in records if type(record.fact) is not EmailAccepted]
        tally.accepted += len(records) - len(others)
        for fact in others:
            match fact:
                case EmailBounced():
                    tally.hard += 1
                case EmailFailed(failure_class="block"):
                    tally.blocked += 1
                case EmailDeferred():
                    pass
                case _:
                    tally.other += 1
        if others and tally.bad >= max(_LOOKS_BAD, tally.accepted):
            self._soon.set()
        return found.used([record.held for record in records], tally)

    def count_doubts(self, lane: Lane, held: Sequence[Held]) -> int:
        """Mails that somebody tried before, with whatever outcome; returns how many grants that used up."""
        found = self._campaigns.get(lane.campaign.id)
        if found is None or found.canary is None:
            return 0
        tally = found.tally(lane.key)
        tally.other += len(held)
        return found.used(held, tally)

    # What runs beside them

    async def run(self) -> None:
        """Tell what was counted and judge, until cancelled."""
        while True:
            await self._pause()
            for found in list(self._campaigns.values()):
                await self._look_at(found)

    async def close(self) -> None:
        """Tell the rest, if NATS answers."""
        for found in list(self._campaigns.values()):
            found.holding = 0
            if found.tallies or found.untold or found.known.senders.get(self._sender):
                with suppress(BusError):
                    await self._tell(found)

    async def _pause(self) -> None:
        """A while; less where something looks bad, but not all the time."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.report_seconds):
                await self._soon.wait()
        await asyncio.sleep(self._looked_at + _AT_ONCE_SECONDS - loop.time())
        self._looked_at = loop.time()
        self._soon.clear()

    async def follow_bucket(self) -> None:
        """Know what others tell, until cancelled."""
        while True:
            try:
                async for entry in (await self._bus.bucket(streams.BREAKER)).watch():
                    if entry is None:
                        self.synced.set()
                    else:
                        self._learn(entry.key, None if entry.deleted else breaker.decode(entry.value))
            except BusError as error:
                await self._patience.wait(error)

    def _learn(self, campaign: str, health: Health | None) -> None:
        """What the bucket says now. Only the watch calls this: it tells the changes in their order, ours included."""
        found = self._campaigns.get(campaign)
        if found is None:
            if health is None:
                self._early.pop(campaign, None)
            else:
                self._early[campaign] = health
            return
        before = (found.exhausted, found.canary is None, breaker.stopped(found.known).keys())
        found.known = health = health or Health(campaign)
        found.changed = True
        rule = found.canary
        found.exhausted = rule is not None and canary.free(health, canary.size_of(found.campaign, rule)) == 0
        if before != (found.exhausted, rule is None, breaker.stopped(health).keys()):
            self._show(health)
            self.on_change(campaign)

    async def _look_at(self, found: Followed) -> None:
        limits = judging.limits_of(found.campaign, self._settings)
        try:
            if self._has_news(found, limits):
                await self._tell(found)
            await self._state(found)
            self._tell_of_deadline(found)
        except BusError as error:
            found.changed = True
            await self._patience.wait(error)
        else:
            self._patience.succeeded()

    def _has_news(self, found: Followed, limits: Limits) -> bool:
        """Whether anything has to be written; also that this sender lives, while it holds mails of a canary."""
        if limits.judges_nothing and found.canary is None:
            found.tallies.clear()
            return False
        note = found.known.senders.get(self._sender)
        if any(found.tallies.values()) or found.untold or found.holding or (note is not None and note.grants):
            return True
        if not found.changed and found.canary is None:
            return False
        found.changed = False
        return self._judged(found.known, found, limits) != found.known

    async def _tell(self, found: Followed, wanted: int = 0) -> int:
        """Bring the report, judge, and ask for grants, in one write. Raises `RetryLater`, and then brings the same again."""
        async with found.lock:
            now, campaign = self._clock(), found.campaign
            limits = judging.limits_of(campaign, self._settings)
            report = found.report(self._sender, now)
            granted = 0

            def change(health: Health) -> Health:
                nonlocal granted
                health = counting.add(health, report, limits.window_seconds)
                health = self._judged(health, found, limits)
                granted = 0
                rule = campaign.canary
                if wanted and rule is not None and health.canary.passed_at is None and health.opening is None:
                    size = canary.size_of(campaign, rule)
                    holding = report.holding or 0
                    health, granted = canary.grant(health, self._sender, holding, wanted, size, now)
                return health

            await breaker.change(self._bus, campaign.id, change)
            found.untold = None
            found.holding += granted
            return granted

    def _judged(self, health: Health, found: Followed, limits: Limits) -> Health:
        """While the canary is undecided it is judged, and no single lane."""
        now, rule = self._clock(), found.campaign.canary
        if health.opening is not None:
            return health
        if rule is not None and health.canary.passed_at is None:
            return self._canary_judged(health, found.campaign, rule, now)
        for lane, state in judging.candidates(health):
            if (opening := judging.judge(state, limits, now)) is not None:
                health = breaker.open_lane(health, lane, opening)
        return health

    def _canary_judged(self, health: Health, campaign: Campaign, rule: CanaryRule, now: float) -> Health:
        size, limits = canary.size_of(campaign, rule), judging.limits_of(campaign, self._settings, always=True)
        health = canary.bury(health, now - _SILENT_ACK_WAITS * self._bus.timing.ack_wait_seconds, size)
        match canary.judge(health, size, limits, rule, now):
            case canary.Pass():
                passed = msgspec.structs.replace(health.canary, passed_at=now)
                return msgspec.structs.replace(health, canary=passed)
            case canary.Fail(opening):
                return breaker.open_lane(health, EVERY_LANE, opening)
            case None:
                return health

    def _tell_of_deadline(self, found: Followed) -> None:
        """Mails that wait in a lane that is stopped expire like others."""
        deadline = found.campaign.deadline
        if deadline is not None and not found.told_expired and self._clock() >= deadline:
            found.told_expired = True
            self.on_change(found.campaign.id)

    async def _state(self, found: Followed) -> None:
        """Have the facts of openings in EVENTS. Whoever comes second says the same under the same id."""
        untold = {lane: opening for lane, opening in breaker.stopped(found.known).items() if not opening.stated}
        for lane, opening in untold.items():
            fact = breaker.opened_fact(found.known, lane, opening)
            message = Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))
            await self._bus.publish(streams.EVENTS.name, [message])
            await breaker.change(self._bus, found.campaign.id, _stated(lane, opening))

    def _show(self, health: Health) -> None:
        """In the log and in the metrics."""
        before, after = self._shown.get(health.campaign, {}), breaker.stopped(health)
        for lane, opening in after.items():
            if lane not in before:
                BREAKERS_OPEN.labels(health.campaign, *_labels(lane)).set(1)
                _log.error(
                    "%s of campaign %s is stopped: %s. `jetpost breaker resume %s` lets it go on.",
                    f"lane {lane}" if lane else "every lane",
                    health.campaign,
                    opening.reason,
                    health.campaign,
                )
        for lane in before.keys() - after.keys():
            BREAKERS_OPEN.remove(health.campaign, *_labels(lane))
            _log.warning("%s of campaign %s goes on", f"lane {lane}" if lane else "every lane", health.campaign)
        self._shown[health.campaign] = after


def _nobody_waits(_: str) -> None:
    """Until somebody does."""


def _labels(lane: str) -> tuple[str, str]:
    pool, _, provider = lane.partition(".")
    return pool, provider


def _stated(lane: str, opening: Opening) -> breaker.Change:
    """Unless it was let go, or stopped again, meanwhile."""

    def change(health: Health) -> Health:
        found = breaker.stopped(health).get(lane)
        return breaker.stated(health, lane) if found == opening else health

    return change
