"""Through which pool a lane's mails go now: the preferred one of its route, or the next that can, while that one cannot.

A pool cannot take mails while no connection to it can be made (failover), and for a mailbox provider not while nothing more may
go there today, by a daily cap or for its warm-up (overflow). A lane is moved as a whole: from then on it is served by the other
pool's sessions, within the other pool's limits, and its facts name the other pool. Its mails stay where they are in the queue.
What a provider says of us moves nothing: to go on from another address then would be to evade it. So a lane that the circuit
breaker stopped is not moved to a later pool of its route either, whatever becomes of its own.

Each sender judges by its own connections, so it must serve all pools of a route for them to take over from each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from events import routes
from events.metrics import LANES_MOVED
from sender import stopping
from sender.breaker.keeper import Breaker
from sender.campaigns import route_of
from sender.drivers.base import ConnectionFailed, Pool
from sender.lanes import Lane, Lanes
from sender.throttle.throttle import Throttle

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""So often lanes are looked at that have a choice of pools."""
PROBE_SECONDS: Final = 15.0
"""So often a connection is tried to a pool that nobody uses because it was down."""


class Health:
    """Whether connections to one pool can be made, as this process finds."""

    def __init__(self, clock: Callable[[], float], after_seconds: float) -> None:
        self._clock = clock
        self._after_seconds = after_seconds
        self._failing_since: float | None = None

    @property
    def is_down(self) -> bool:
        """Every attempt has failed for so long that others take over."""
        return self._failing_since is not None and self._clock() - self._failing_since >= self._after_seconds

    def failed(self) -> None:
        if self._failing_since is None:
            self._failing_since = self._clock()

    def succeeded(self) -> None:
        self._failing_since = None


class Router:
    """Moves the lanes of this process between its pools."""

    def __init__(
        self,
        lanes: Mapping[str, Lanes],
        sessions: Mapping[str, Pool],
        throttle: Throttle,
        breaker: Breaker,
        clock: Callable[[], float],
        failover_after_seconds: float,
    ) -> None:
        """`lanes` and `sessions` by pool."""
        self.health = {pool: Health(clock, failover_after_seconds) for pool in lanes}
        self._lanes = lanes
        self._sessions = sessions
        self._throttle = throttle
        self._breaker = breaker
        self._clock = clock
        self._probed: dict[str, float] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}
        """The newest of each pool. One may take as long as all timeouts of a connection together, and nobody waits for it."""

    async def run(self, opened: Callable[[], Iterable[Lane]]) -> None:
        """Look at the open lanes again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self.look(opened())
                self.probe()
        finally:
            await stopping.cancel(self._probes.values())

    def look(self, lanes: Iterable[Lane]) -> None:
        """Move the lanes whose pool is not the one that it should be."""
        for lane in list(lanes):
            pool = self._pool_for(lane)
            if pool != lane.pool:
                self.move(lane, pool)

    def _pool_for(self, lane: Lane) -> str:
        route = route_of(lane.campaign, lane.provider, self._lanes)
        if lane.stopped and lane.pool in route:  # further down it would go on without what stopped it being mended
            route = route[: route.index(lane.pool) + 1]
        return routes.choose(route, lambda pool: self._can(pool, lane.provider)) if route else lane.pool

    def _can(self, pool: str, provider: str) -> bool:
        return not self.health[pool].is_down and not self._throttle.is_used_up(pool, provider)

    def move(self, lane: Lane, pool: str) -> None:
        """From the next turn on its mails go through `pool`."""
        _log.warning("lane %s goes through pool %s instead of %s", lane, pool, lane.pool)
        LANES_MOVED.labels(lane.pool, pool, lane.provider).inc()
        self._lanes[lane.pool].remove(lane)
        self._throttle.detach(lane)
        lane.pool = pool
        self._breaker.mark(lane)
        self._lanes[pool].add(lane)
        self._throttle.attach(lane, self._lanes[pool].notify)
        lane.changed.set()

    def probe(self) -> None:
        """A pool that is down and left alone is tried now and then, so that its lanes come back when it does."""
        now = self._clock()
        for pool, health in self.health.items():
            running = pool in self._probes and not self._probes[pool].done()
            if health.is_down and not running and now - self._probed.get(pool, 0.0) >= PROBE_SECONDS:
                self._probed[pool] = now
                self._probes[pool] = asyncio.create_task(self._probe(pool), name=f"probe {pool}")

    async def _probe(self, pool: str) -> None:
        try:
            async with self._sessions[pool].lease():
                self.health[pool].succeeded()
        except ConnectionFailed as error:
            _log.debug("pool %s is still down: %s", pool, error)
        except Exception:
            _log.exception("trying pool %s failed", pool)
