"""The warm-up of a sender's pools: tells what their lanes did, and keeps what they may do today in the state of their limits.

The allowance of a lane stands in the bucket `throttle`, where every reservation of every sender honours it as the day's cap
(`sender.throttle`). Whoever finds that it is not what the plan says puts it right: all come to the same result, whatever the
order. It is right before the first mail of a process goes.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from events import providers, streams, warmup
from events.breaker import lane_key
from events.bus import Bus
from events.errors import BusError
from events.facts import EmailAccepted, EmailBounced, EmailDeferred, EmailFailed
from events.metrics import WARMUP_ALLOWANCE
from events.warmup import Warmup, day_of
from sender.outcomes import Record
from sender.patience import Patience
from sender.settings import Relay
from sender.throttle.state import State
from sender.warmup import plan
from sender.warmup.plan import Tally
from sender.warmup.settings import WarmupSettings

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_UNLIMITED: Final = float("inf")


class Limits(Protocol):
    """What senders share about limits: `throttle.throttle.Throttle`, as far as it matters here."""

    def known(self, key: str) -> State: ...

    async def change(self, key: str, transition: Callable[[State], State]) -> State: ...


class Warmups:
    """Of all pools of a sender; those that are not to be warmed up cost a look into a dictionary for each turn."""

    def __init__(self, bus: Bus, pools: Mapping[str, Relay], limits: Limits, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._limits = limits
        self._clock = clock
        self._pools = {pool: relay.warmup for pool, relay in pools.items() if relay.warmup.enabled}
        self._lanes = {lane_key(pool, name): pool for pool in self._pools for name in providers.PROVIDERS}
        self._others = [lane_key(pool, name) for pool in pools.keys() - self._pools for name in providers.PROVIDERS]
        self._sender = uuid.uuid4().hex[:12]
        self._known: dict[str, Warmup] = {}
        self._tallies: dict[str, Tally] = {}
        self._untold: dict[str, Tally] = {}
        """Reports whose answer is not known, by lane."""
        self._reports: Counter[str] = Counter()

    def count(self, lane: str, records: Sequence[Record]) -> None:
        """What became of mails of a turn, by the key of their lane."""
        if lane not in self._lanes:
            return
        tally = self._tallies.get(lane)
        if tally is None:
            tally = self._tallies[lane] = Tally()
        for record in records:
            match record.fact:
                case EmailAccepted():
                    tally.accepted += 1
                case EmailBounced():
                    tally.hard += 1
                case EmailFailed(failure_class="block"):
                    tally.blocked += 1
                case EmailDeferred():
                    tally.deferred += 1
                case _:
                    pass

    async def begin(self) -> None:
        """Returns when every lane has its allowance. Raises `RetryLater`."""
        if self._pools:
            for state in await warmup.all_of(self._bus):
                self._known[state.lane] = state
        await self._allow()

    async def follow(self) -> None:
        """Know what others tell, until cancelled. Raises `BusError` where that breaks off."""
        async for entry in (await self._bus.bucket(streams.WARMUP)).watch():
            if entry is not None and entry.deleted:
                self._known.pop(entry.key, None)
            elif entry is not None:
                self._known[entry.key] = warmup.decode(entry.value)

    async def run(self, patience: Patience) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await patience.insist(self.look)

    async def look(self) -> None:
        """Tell what was counted, and put the allowances right. Raises `RetryLater`."""
        for lane in list(self._tallies.keys() | self._untold.keys()):
            await self._tell(lane)
        await self._allow()

    async def close(self) -> None:
        """Tell the rest, if NATS answers."""
        with suppress(BusError):
            await self.look()

    async def _tell(self, lane: str) -> None:
        if lane not in self._untold:
            self._reports[lane] += 1
            self._untold[lane] = self._tallies.pop(lane)
        tally, number, settings = self._untold[lane], self._reports[lane], self._settings_of(lane)
        day = day_of(self._clock())

        def counted(state: Warmup) -> Warmup:
            return plan.counted(plan.on(state, settings, day), tally, self._sender, number)

        self._tell_of_steps(self._known.get(lane), await warmup.change(self._bus, lane, day, counted))
        del self._untold[lane]

    def _tell_of_steps(self, before: Warmup | None, after: Warmup) -> None:
        if before is None or not after.days or before.days[-1:] == after.days[-1:]:
            return
        last = after.days[-1]
        _log.info(
            "warm-up of %s: day %d had %d mails (%s); allowed today: %s",
            after.lane,
            last.step,
            last.mails,
            last.verdict,
            "any number" if after.done else plan.allowance(after, self._settings_of(after.lane), after.today.number),
        )

    async def _allow(self) -> None:
        day = day_of(self._clock())
        for lane in self._lanes:
            settings = self._settings_of(lane)
            allowed = plan.allowance(self._known.get(lane) or warmup.fresh(lane, day), settings, day)
            await self._set(lane, allowed)
            WARMUP_ALLOWANCE.labels(*lane.split(".")).set(_UNLIMITED if allowed is None else allowed)
        for lane in self._others:
            await self._set(lane, None)

    async def _set(self, lane: str, allowed: int | None) -> None:
        if self._limits.known(lane).allowance != allowed:
            await self._limits.change(lane, lambda state: _allowing(state, allowed))

    def left(self, lane: str, now: float) -> int | None:
        """Mails that the lane may still send today; None: any number. For whoever could send them another way."""
        state = self._limits.known(lane)
        return None if state.allowance is None else max(0, state.allowance - state.used_on(day_of(now)))

    def _settings_of(self, lane: str) -> WarmupSettings:
        return self._pools[self._lanes[lane]]


def _allowing(state: State, allowed: int | None) -> State:
    return msgspec.structs.replace(state, allowance=allowed)
