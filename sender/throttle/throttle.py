"""Puts gates before the lanes that something limits, and takes them away where nothing does any more.

What limits a lane: its campaign's rate, what is configured for its pool and for it, and what its provider taught us. Senders
share all of it through the bucket `throttle`. A lane that nothing limits has no gate, and costs nothing.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import cast

from events.bus import Bus
from events.errors import BusError
from events.providers import Provider
from sender import stopping
from sender.drivers.base import Pool
from sender.lanes import Lane
from sender.patience import Patience
from sender.retry import Random
from sender.settings import Relay
from sender.throttle import state as states
from sender.throttle.gate import Gate
from sender.throttle.keeper import Keeper
from sender.throttle.lane_gates import LaneGates
from sender.throttle.limits import NONE, Limits, effective
from sender.throttle.returns import Returns
from sender.throttle.server_clock import ServerClock
from sender.throttle.shared import Shared
from sender.throttle.slots import Slots
from sender.throttle.state import State


class Throttle:
    def __init__(
        self,
        bus: Bus,
        pools: Mapping[str, Relay],
        sessions: Mapping[str, Pool],
        turns: Callable[[str, str], int],
        random: Random,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`turns` says how many sessions of a pool work for a provider, and for any where that is empty. `clock` is best one that
        nobody sets; where it begins does not matter, as the server's is what counts."""
        self.keeper = Keeper(bus)
        self._pools = pools
        self._sessions = sessions
        self._turns = turns
        self._pause_seconds = pause_seconds
        self._clock = ServerClock(bus, clock)
        self._returns = Returns(self.change)
        self._shared = Shared(
            self.keeper,
            self._clock,
            random,
            uuid.uuid4().hex[:12],
            Patience("throttle", pause_seconds),
            self._returns,
        )
        self._gates: dict[str, Gate] = {}
        self._closing: set[asyncio.Task[None]] = set()
        """Of gates that are closed, and have a reservation on its way."""
        self._slots: dict[str, Slots] = {}
        self._lanes: defaultdict[str, dict[Lane, Callable[[], None]]] = defaultdict(dict)
        """By key of a shared state; with each lane what wakes a session for it."""
        self._needed = asyncio.Event()
        self._timed = asyncio.Event()
        """The server's clock is known."""
        self.on_change: Callable[[str], None] = lambda _: None
        """Called with the key of whatever somebody changed."""
        self.synced = asyncio.Event()
        """What others shared before is known."""

    async def run(self) -> None:
        """Follow what is shared, until cancelled. Raises `BusError` where that breaks off."""
        timing = asyncio.create_task(self._keep_time())
        try:
            await self.keeper.follow(self._changed, self.synced.set)
        finally:
            timing.cancel()

    @property
    def sender(self) -> str:
        """Tells this process from others."""
        return self._shared.sender

    def known(self, key: str) -> State:
        """The newest state that is known here; it may be a moment old."""
        return self.keeper.known(key)

    async def change(self, key: str, transition: Callable[[State], State]) -> State:
        """As `Keeper.change`, and the lanes here heed it at once. Raises `RetryLater`."""
        after = await self.keeper.change(key, transition)
        self._look_at(key)
        return after

    def is_used_up(self, pool: str, provider: str) -> bool:
        """Whether nothing more may go through the pool to the mailbox provider today; what this process has reserved may."""
        now, relay = self._clock.now(), self._pools[pool]
        if now is None:
            return False
        limits = {
            states.pool_key(pool): relay.limits,
            states.lane_key(pool, provider): relay.lanes.get(cast("Provider", provider), NONE),
        }
        return any(
            _is_used_up(self.keeper.known(key), limit, now) and not self._has_tokens(key, now)
            for key, limit in limits.items()
        )

    def _has_tokens(self, key: str, now: float) -> bool:
        gate = self._gates.get(key)
        return gate is not None and gate.has_tokens(now)

    def now(self) -> float | None:
        """Unix seconds by the server's clock; None: it was not needed yet."""
        return self._clock.now()

    async def time(self) -> float:
        """The same; waits until it is known."""
        while (now := self._clock.now()) is None:
            self._needed.set()
            await self._timed.wait()
        return now

    def attach(self, lane: Lane, notify: Callable[[], None]) -> None:
        """Put before the lane what limits it; `notify` wakes a session for it. Call it again when its campaign has changed."""
        for key, _ in self._limits_of(lane):
            self._lanes[key][lane] = notify
        self._put_gates(lane, notify)

    def detach(self, lane: Lane) -> None:
        """The lane is closed."""
        if lane.gates is not None:
            lane.gates.detach()
            lane.gates = None
        for key, _ in self._limits_of(lane):
            self._lanes[key].pop(lane, None)
            if not self._lanes[key]:
                del self._lanes[key]
                self._close_gate(key)

    async def forget(self, campaign: str) -> None:
        """It is over, and with it what its senders shared."""
        key = states.campaign_key(campaign)
        if self.keeper.known(key) != states.EMPTY:
            with suppress(BusError):
                await self.keeper.remove(key)

    async def close(self) -> None:
        """Give back what is reserved and leased. Raises `BusError`."""
        for key in list(self._gates):
            self._close_gate(key)
        await stopping.cancel([slots.task for slots in self._slots.values()])
        try:
            if self._closing:
                await asyncio.wait(self._closing)
            await self._returns.settled()
            for slots in self._slots.values():
                await slots.give_back()
        finally:
            await stopping.cancel(self._closing)

    async def _keep_time(self) -> None:
        """Only where something is limited. Learned limits change with time alone, so all are looked at now and then."""
        await self._needed.wait()
        await self._clock.run(Patience("clock", self._pause_seconds), self._look_at_all)

    def _look_at_all(self) -> None:
        self._timed.set()
        for key in list(self._gates):
            self._look_at(key)
        for gate in self._gates.values():
            gate.ask()  # nobody could while the clock was not known; and what lapsed where no mails wait is given back

    def _changed(self, key: str) -> None:
        self._look_at(key)
        self.on_change(key)

    def _look_at(self, key: str) -> None:
        """Lanes get gates, or lose them, only where something is limited that was not, or the other way round."""
        lanes = self._lanes.get(key)
        if not lanes:
            return
        limits = dict(self._limits_of(next(iter(lanes))))[key]
        limited, gate = self._is_limited(key, limits), self._gates.get(key)
        if limited != (gate is not None):
            for lane, notify in list(lanes.items()):
                self._put_gates(lane, notify)
        elif gate is not None:
            gate.limits = limits
            gate.look()

    def _put_gates(self, lane: Lane, notify: Callable[[], None]) -> None:
        gates = [gate for key, limits in self._limits_of(lane) if (gate := self._gate(key, limits)) is not None]
        if gates == ([] if lane.gates is None else list(lane.gates.gates)):
            return
        if lane.gates is not None:
            lane.gates.detach()
        lane.gates = LaneGates(lane, gates, self._clock, notify) if gates else None
        lane.changed.set()
        notify()

    def _limits_of(self, lane: Lane) -> Iterator[tuple[str, Limits]]:
        """What is configured, with the keys of what is shared; the scarcest first, more or less."""
        relay, campaign = self._pools[lane.pool], lane.campaign
        yield states.campaign_key(campaign.id), Limits(rate=campaign.rate) if campaign.rate else NONE
        yield states.lane_key(lane.pool, lane.provider), relay.lanes.get(cast("Provider", lane.provider), NONE)
        yield states.pool_key(lane.pool), relay.limits

    def _is_limited(self, key: str, limits: Limits) -> bool:
        return not effective(limits, self.keeper.known(key), self._clock.now() or 0.0).is_none

    def _gate(self, key: str, limits: Limits) -> Gate | None:
        """The gate of what is limited; None: nothing is."""
        found = self._gates.get(key)
        if not self._is_limited(key, limits):
            self._close_gate(key)
            if key in self._slots:
                self._slots[key].look(None)
            return None
        if found is None:
            found = self._gates[key] = Gate(key, limits, self._shared, self._slots_of(key))
            self._needed.set()
        found.limits = limits
        found.look()
        return found

    def _slots_of(self, key: str) -> Slots | None:
        if key not in self._slots:
            pool, _, provider = key.partition(".")
            if pool not in self._pools:
                return None  # a campaign: it has no connections of its own
            self._slots[key] = self._new_slots(key, pool, provider)
        return self._slots[key]

    def _new_slots(self, key: str, pool: str, provider: str) -> Slots:
        relay, sessions = self._pools[pool], self._sessions[pool]

        def wanted() -> int:
            gate = self._gates.get(key)
            return relay.max_connections if gate is not None and gate.could_use_a_connection() else 0

        def told(slots: int | None) -> None:
            if not provider:
                sessions.keep_open(relay.max_connections if slots is None else slots)
            gate = self._gates.get(key)
            if (
                gate is not None
            ):  # tokens that were ready before the connections may have lapsed: somebody must ask again
                for notify in {one.notify for one in gate.attached}:
                    notify()

        return Slots(key, self._shared, told, wanted, lambda: self._turns(pool, provider))

    def _close_gate(self, key: str) -> None:
        gate = self._gates.pop(key, None)
        if gate is not None:
            gate.close()
            self._closing.add(gate.task)
            gate.task.add_done_callback(self._closing.discard)


def _is_used_up(state: State, limits: Limits, now: float) -> bool:
    daily = effective(limits, state, now).daily
    return daily is not None and state.used_on(states.day_of(now)) >= daily
