"""Listens to what becomes of a sender's turns, and tells all senders what a lane's provider objects to.

Listening costs a turn about a microsecond. Only an objection that would change what is known is written, in the background: no
turn waits for it, and where NATS does not answer it is tried again, until it is too old to mean anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from msgspec.structs import replace

from events import classification
from events import pace as paces
from events.metrics import LANE_CONNECTION_LIMIT, LANE_OBJECTIONS, LANE_PAUSED_SECONDS, LANE_RATE_LIMIT
from events.pace import Cause, Pace, Why
from events.providers import PROVIDERS
from sender.adaptive import evidence, slowing
from sender.adaptive.meter import Meter, Seen
from sender.adaptive.settings import AdaptiveSettings
from sender.adaptive.slowing import Objection, Refusal
from sender.drivers.base import ConnectionFailed, Outcome, Reply
from sender.patience import Patience
from sender.settings import Relay
from sender.throttle.limits import NONE, Limits
from sender.throttle.state import State, lane_key, pool_key

_SHOWN_SECONDS: Final = 1.0
"""A rate that comes back is shown anew after this."""
_CHARACTERS: Final = 200
"""Of a reply's text as many are kept as the reason why a lane is slow."""


class Shared(Protocol):
    """What senders share about lanes: `throttle.throttle.Throttle`, as far as it matters here."""

    @property
    def sender(self) -> str: ...

    def known(self, key: str) -> State: ...

    async def change(self, key: str, transition: Callable[[State], State]) -> State: ...

    def now(self) -> float | None: ...

    async def time(self) -> float: ...


Change: TypeAlias = Callable[[Pace, float], Pace]
"""The pace after it, at a moment by the clock that all senders share."""
Kind: TypeAlias = Literal["rate", "pause", "connections", "join", "join_connections"]
"""What is told."""
_OBJECTIONS: Final[frozenset[Kind]] = frozenset({"rate", "pause", "connections"})
Turns: TypeAlias = Callable[[str, str], int]
"""How many sessions of a pool work for a provider in this process; for any, where the provider is empty."""


class _Write(NamedTuple):
    """Something that all senders should know."""

    change: Change
    at: float
    """When it was heard, by our clock."""


class _Lane:
    """What this sender saw of a lane, or of a pool."""

    def __init__(self, pool: str, provider: str, limits: Limits, window_seconds: float) -> None:
        self.pool = pool
        self.provider = provider
        """Empty: the whole pool."""
        self.key = lane_key(pool, provider) if provider else pool_key(pool)
        self.limits = limits
        self.mails = Meter(window_seconds)
        self.turns: Meter | None = None
        """Only once there were too many connections: turns, and those that heard that there are."""
        self.slowed_at = 0.0
        """The newest decrease that is known."""


class Learner:
    def __init__(
        self,
        settings: AdaptiveSettings,
        pools: Mapping[str, Relay],
        shared: Shared,
        clock: Callable[[], float],
        turns: Turns,
        patience: Patience,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._clock = clock
        self._turns = turns
        self._patience = patience
        window = settings.window_seconds
        lanes = [_Lane(pool, "", relay.limits, window) for pool, relay in pools.items()] + [
            _Lane(pool, provider, relay.lanes.get(provider, NONE), window)
            for pool, relay in pools.items()
            for provider in PROVIDERS
        ]
        self._lanes = {(lane.pool, lane.provider): lane for lane in lanes}
        self._lanes_by_key = {lane.key: lane for lane in lanes}
        self._pending: dict[str, dict[Kind, _Write]] = {}
        self._work = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._shown: set[str] = set()

    # listening

    def observe(self, pool: str, provider: str, outcomes: Sequence[Outcome]) -> None:
        """What became of the mails of a turn."""
        if not self._settings.enabled:
            return
        now, lane, found = self._clock(), self._lanes[pool, provider], evidence.of(outcomes)
        lane.mails.add(now, found.tried, found.accepted, found.put_off)
        if lane.turns is not None:
            lane.turns.add(now, 1, 0, found.connections is not None)
        if found.accepted < found.tried:
            self._listen(lane, found, now)

    def refused(self, pool: str, error: ConnectionFailed) -> None:
        """No session could be had."""
        reply = error.reply
        if not self._settings.enabled or reply is None:
            return
        verdict = classification.classify(reply, about_recipient=False)
        if verdict.failure_class != "throttled":
            return
        lane, now = self._lanes[pool, ""], self._clock()
        if verdict.reason == evidence.CONNECTIONS:
            self._fewer(lane, Refusal(self._shared.sender, _why("connections", reply, now), error.beside + 1), now)
        if error.retry_after_seconds:
            self._pause(lane, error.retry_after_seconds, _why("throttled", reply, now), now)

    def _listen(self, lane: _Lane, found: evidence.Evidence, now: float) -> None:
        if found.connections is not None:
            self._too_many(lane, found.connections, now)
        seen = lane.mails.seen(now)
        if found.throttled is not None and self._is_too_fast(seen):
            why = _why("throttled", found.throttled, now, seen.put_off_share)
            self._slow_down(lane, why, seen, now)
            if found.hint_seconds:  # else it holds for the mail alone
                self._pause(lane, found.hint_seconds, why, now)
        elif found.deferred is not None and self._is_spike(seen):
            self._slow_down(lane, _why("deferrals", found.deferred, now, seen.put_off_share), seen, now)

    def _slow_down(self, lane: _Lane, why: Why, seen: Seen, now: float) -> None:
        objection, configured, settings = Objection(self._shared.sender, why, seen), lane.limits.rate, self._settings
        self._tell(lane, "rate", now, lambda pace, at: slowing.slow_down(pace, objection, configured, settings, at))

    def _is_too_fast(self, seen: Seen) -> bool:
        return seen.put_off >= self._settings.throttle_mails and seen.put_off_share >= self._settings.throttle_share

    def _is_spike(self, seen: Seen) -> bool:
        return seen.tried >= self._settings.deferral_mails and seen.put_off_share >= self._settings.deferral_share

    def _too_many(self, lane: _Lane, reply: Reply, now: float) -> None:
        share = 0.0 if lane.turns is None else lane.turns.seen(now).put_off_share
        if lane.turns is None:
            lane.turns = Meter(self._settings.window_seconds)
        in_use = self._turns(lane.pool, lane.provider)
        self._fewer(lane, Refusal(self._shared.sender, _why("connections", reply, now), in_use, share), now)

    def _fewer(self, lane: _Lane, refusal: Refusal, now: float) -> None:
        configured, settings = lane.limits.connections, self._settings
        self._tell(
            lane,
            "connections",
            now,
            lambda pace, at: slowing.fewer_connections(pace, refusal, configured, settings, at),
        )

    def _pause(self, lane: _Lane, seconds: float, why: Why, now: float) -> None:
        self._tell(lane, "pause", now, lambda pace, at: slowing.pause(pace, seconds, why, self._settings, at))

    def changed(self, key: str) -> None:
        """Somebody changed what is shared under this key: add what this sender got through where that is asked for."""
        lane = self._lanes_by_key.get(key)
        if lane is None:
            return
        pace, settings, sender = self._shared.known(key).pace, self._settings, self._shared.sender
        now, shared_now = self._clock(), self._time()
        if pace.decreased_at > lane.slowed_at:
            seen = lane.mails.seen(now)
            if seen.tried and slowing.may_join(pace, sender, settings, shared_now):
                self._tell(lane, "join", now, lambda pace, at: slowing.join(pace, sender, seen, settings, at))
            lane.slowed_at = pace.decreased_at
            lane.mails.begin_anew()
        if slowing.may_join_connections(pace, sender, settings, shared_now):
            turns = self._turns(lane.pool, lane.provider)
            self._tell(
                lane,
                "join_connections",
                now,
                lambda pace, at: slowing.join_connections(pace, sender, turns, settings, at),
            )
        self._show(key, shared_now)

    def _time(self) -> float:
        """As all senders have it; roughly, while that is not known."""
        return self._shared.now() or self._clock()

    # telling

    def _tell(self, lane: _Lane, kind: Kind, now: float, change: Change) -> None:
        """Unless it changes nothing, or is about to be told already."""
        known = self._shared.known(lane.key).pace
        pending = self._pending.setdefault(lane.key, {})
        if (kind not in pending or kind == "pause") and change(known, self._time()) is not known:
            pending[kind] = _Write(change, now)
            self._done.clear()
            self._work.set()

    async def run(self) -> None:
        """Write what was heard, and show what is known, until cancelled."""
        while True:
            await self._news()
            for key in [key for key, pending in self._pending.items() if pending]:
                await self._write(key)
            if not any(self._pending.values()):
                self._done.set()
            for key in list(self._shown):
                self._show(key, self._time())

    async def told(self) -> None:
        """Returns as soon as everything that was heard is written."""
        await self._done.wait()

    async def _news(self) -> None:
        """Something to write, or time to show how rates come back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHOWN_SECONDS if self._shown else None):
                await self._work.wait()
        self._work.clear()

    async def _write(self, key: str) -> None:
        """Insists; what is too old by then is left out."""
        lane, pending = self._lanes_by_key[key], self._pending.pop(key)
        now = await self._shared.time()
        changed: set[Kind] = set()

        def transition(state: State) -> State:
            pace, oldest = state.pace, self._clock() - self._settings.window_seconds
            changed.clear()
            for kind, write in pending.items():
                after = pace if write.at < oldest else write.change(pace, now)
                if after is not pace:
                    changed.add(kind)
                pace = after
            return state if pace is state.pace else replace(state, pace=pace)

        await self._patience.insist(lambda: self._shared.change(key, transition))
        for kind in changed & _OBJECTIONS:
            LANE_OBJECTIONS.labels(lane.pool, lane.provider, kind).inc()
        self.changed(key)

    def _show(self, key: str, now: float) -> None:
        lane = self._lanes_by_key[key]
        pace, limits, labels = self._shared.known(key).pace, lane.limits, (lane.pool, lane.provider)
        rate = paces.rate_at(pace, limits.rate, now)
        connections = paces.connections_at(pace, limits.connections, now)
        LANE_RATE_LIMIT.labels(*labels).set(inf if rate is None else rate)
        LANE_CONNECTION_LIMIT.labels(*labels).set(inf if connections is None else connections)
        LANE_PAUSED_SECONDS.labels(*labels).set(max(0.0, pace.not_before - now))
        if paces.is_held_back(pace, limits.rate, limits.connections, now):
            self._shown.add(key)
        else:
            self._shown.discard(key)


def _why(cause: Cause, reply: Reply, at: float, share: float = 0.0) -> Why:
    return Why(cause, at, reply.code, reply.enhanced, reply.text[:_CHARACTERS], share)
