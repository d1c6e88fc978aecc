"""Says every few seconds that this sender works, and what it sends when it has as much to do as it can (`events.fleet`).

Measured is only what goes through a pool while nearly all of its sessions are at work: a sender that waits for mails, for a
limit or for a connection could do more than it does, and nobody knows how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from events import fleet, streams
from events.bus import Bus
from events.errors import BusError
from events.fleet import BEAT_SECONDS, Beat, Bounds, Line
from sender.settings import Relay
from sender.throttle.limits import NONE, Limits
from sender.turn import Turn

_FULL: Final = 0.7
"""A pool counts as at full work where its sessions are busy for this share of the time: between two turns they wait a little."""
_TURNS: Final = 4
"""It is measured until each session has had so many turns on average: what was begun before, and what is under way at the end,
do not weigh much then."""
_NEWEST: Final = 0.3
"""The share of the newest measurement in what is told."""


class Load:
    """How busy the sessions of a pool were lately, and what went through them."""

    def __init__(self, sessions: int, clock: Callable[[], float]) -> None:
        """`clock` is one that nobody sets."""
        self.rate: float | None = None
        """Mails per second at full work; None: it never was."""
        self.full = False
        """It is at full work."""
        self._sessions = sessions
        self._clock = clock
        self._working = 0
        self._since = self._began = clock()
        self._busy_seconds = 0.0
        self._turns = 0
        self._mails = 0

    @contextmanager
    def of(self, turn: Turn) -> Iterator[None]:
        """While a session works."""
        self._step(1)
        try:
            yield
        finally:
            self._step(-1)
            self._turns += 1
            self._mails += len(turn.held)

    def measure(self) -> None:
        """Look whether it was at full work, and for long enough to say what that comes to."""
        self._step(0)
        self.full = self._busy_seconds >= _FULL * self._sessions * (self._since - self._began) > 0.0
        if not self.full:
            self._begin()
        elif self._turns >= _TURNS * self._sessions:
            if self._mails:
                rate = self._mails * self._sessions / self._busy_seconds
                self.rate = rate if self.rate is None else self.rate + _NEWEST * (rate - self.rate)
            self._begin()

    def _begin(self) -> None:
        self._began, self._busy_seconds, self._turns, self._mails = self._since, 0.0, 0, 0

    def _step(self, more: int) -> None:
        now = self._clock()
        self._busy_seconds += self._working * (now - self._since)
        self._since = now
        self._working += more


class Pulse:
    def __init__(
        self,
        bus: Bus,
        sender: str,
        pools: Mapping[str, Relay],
        is_down: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        """`is_down` says of a pool whether no connection to it can be made."""
        self.loads = {name: Load(relay.max_connections, clock) for name, relay in pools.items()}
        self._bus = bus
        self._sender = sender
        self._pools = pools
        self._is_down = is_down
        self._leaving = False

    async def run(self) -> None:
        """Until cancelled. Raises `BusError`."""
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Measure and say so, unless it is about to stop. Raises `BusError`."""
        for load in self.loads.values():
            load.measure()
        now = await self._bus.server_time()
        lines = {name: self._line(name, relay) for name, relay in self._pools.items()}
        beat = Beat(self._sender, now, lines)
        bucket = await self._bus.bucket(streams.SENDERS)
        if not self._leaving:
            await bucket.put(self._sender, fleet.encode(beat))

    async def leave(self) -> None:
        """It takes no more work; where NATS does not answer, others notice by its silence."""
        self._leaving = True
        with suppress(BusError):
            await (await self._bus.bucket(streams.SENDERS)).delete(self._sender)

    def _line(self, name: str, relay: Relay) -> Line:
        return Line(
            relay.max_connections,
            self.loads[name].rate,
            self._is_down(name),
            _bounds(relay.limits),
            {provider: _bounds(limits) for provider, limits in relay.lanes.items() if limits != NONE},
            self.loads[name].full,
        )


def _bounds(limits: Limits) -> Bounds:
    return Bounds(limits.rate, limits.connections, limits.daily)
