"""The sender: takes due mails from their lanes, hands them to the next server, and states what became of each.

One turn of a session takes a few mails of one lane through these steps (`delivery`):

    fetch        a lane's mails lie ready, fetched ahead and unclaimed (`intake`)
    admit        is the campaign still to be sent? (`admission`); is the lane doing well? (`breaker`)
    lease        a session that is connected
    sign         with the keys of the From domain, where there are some (`dkim`)
    claim        the right to make the attempt, which only one worker ever gets (`claims`)
    suppress     who is on the suppression list by now gets no mail (`events.suppression_list`)
    deliver      through the session's driver
    decide       what the outcome means for the mail (`retry`)
    record       retry, dead letter, fact: published in this order (`recorder`, `outcomes`)
    acknowledge  only then

What dies in between comes again after the ack-wait. Its claim is found taken, and it is stated to be in doubt unless its
outcome is known (`doubts`). Nothing is ever sent on a claim that somebody else may hold, and nothing is acknowledged before
its fate is stored.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Final, TypeAlias

from events import streams
from events.bus import Bus
from events.errors import BusError
from events.metrics import SUPPRESSION_ENTRIES
from events.suppression import PLAIN, Hashing
from events.suppression_list import SuppressionList
from events.verp import Verp
from sender import stopping
from sender.acknowledger import Acknowledger
from sender.adaptive.learner import Learner
from sender.breaker.keeper import Breaker
from sender.budget import Budget
from sender.claims import Claims
from sender.delivery import Delivery, Parts
from sender.dkim.signing import Signing
from sender.doubts import Doubts
from sender.drivers.base import ConnectionFailed, Pool
from sender.intake import Intake
from sender.journal import Journal
from sender.lanes import Lanes
from sender.patience import Patience
from sender.poison import Poison
from sender.pulse import Pulse
from sender.recorder import Recorder
from sender.retry import Random
from sender.routing import Router
from sender.settings import Relay, SenderSettings
from sender.throttle.throttle import Throttle
from sender.turn import Line, Turn
from sender.warmup.keeper import Warmups

_log = logging.getLogger(__name__)

_LAST_WORDS_SECONDS: Final = 5.0
"""So long a sender that stops tries to tell the others what it counted, and to give back what it reserved."""

Connect: TypeAlias = Callable[[str, Relay], Pool]
"""Makes the sessions of a pool, given its name; does not connect yet."""


async def run(
    bus: Bus,
    settings: SenderSettings,
    connect: Connect,
    *,
    clock: Callable[[], float],
    stop: asyncio.Event,
    random: Random = random_module.random,
    hashing: Hashing = PLAIN,
) -> None:
    """Send until `stop`; then finish what is claimed, state it, give back the rest, and close the sessions."""
    worker = Worker(bus, settings, connect, clock, random, hashing)
    try:
        await _unless(stop, worker.start())
        await stop.wait()
    finally:
        await worker.stop()


class Worker:
    """One sender process. Its parts live from `start` to `stop`."""

    def __init__(
        self,
        bus: Bus,
        settings: SenderSettings,
        connect: Connect,
        clock: Callable[[], float],
        random: Random,
        hashing: Hashing = PLAIN,
    ) -> None:
        pause = settings.retry_pause_seconds
        self._bus = bus
        self._settings = settings
        self._signing = Signing(settings.dkim, clock)
        self._lines = {
            name: Line(
                name,
                connect(name, relay),
                Lanes(relay.max_connections, settings.lane_share, clock),
                relay,
                Budget(relay.max_connections * relay.pipeline_depth),
                Patience(f"connect {name}", pause),
            )
            for name, relay in settings.pools.items()
        }
        self._journal = Journal(bus)
        self._claims = Claims(bus, self._journal, clock, Patience("claim", pause))
        self._doubts = Doubts(bus, clock, random)
        self._acknowledger = Acknowledger(Patience("acknowledge", pause))
        self._recorder = Recorder(
            bus, self._claims, self._journal, clock, Patience("record", pause), self._acknowledger, hashing
        )
        self._suppression = SuppressionList(bus, hashing, clock, SUPPRESSION_ENTRIES.set)
        self._breaker = Breaker(bus, settings.breaker, clock, Patience("breaker", pause))
        lanes = {name: line.lanes for name, line in self._lines.items()}
        sessions = {name: line.sessions for name, line in self._lines.items()}
        self._throttle = Throttle(bus, settings.pools, sessions, self._turns, random, pause)
        self._learner = Learner(
            settings.adaptive,
            settings.pools,
            self._throttle,
            clock,
            self._turns,
            Patience("adapt", pause),
        )
        self._throttle.on_change = self._learner.changed
        self._warmups = Warmups(bus, settings.pools, self._throttle, clock)
        self._router = Router(lanes, sessions, self._throttle, self._breaker, clock, settings.failover_after_seconds)
        self._intake = Intake(bus, settings, clock, lanes, self._breaker, self._throttle)
        self._poison = Poison(bus, self._claims, self._doubts, clock, self._intake.lapses)
        self._pulse = Pulse(
            bus, self._throttle.sender, settings.pools, lambda pool: self._router.health[pool].is_down, time.monotonic
        )
        parts = Parts(
            self._claims,
            self._doubts,
            self._recorder,
            self._acknowledger,
            self._suppression,
            self._signing,
            Verp(settings.verp_secret) if settings.verp_secret else None,
            self._breaker,
            self._learner,
            self._warmups,
            self._router,
            settings.retry,
        )
        self._delivery = Delivery(parts, clock, random)
        self._background: list[asyncio.Task[None]] = []
        self._slots: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when everything is at work: not before the suppression list is known as it is now."""
        pause = self._settings.retry_pause_seconds
        state = await Patience("start", pause).insist(lambda: self._bus.stream_state(streams.EVENTS.name))
        suppressing = Patience("suppression", pause)
        await suppressing.insist(self._suppression.catch_up)
        self._claims.events_seen = state.last_sequence
        self._background = [asyncio.create_task(self._keep_going("breaker", self._breaker.follow_bucket))]
        self._background.append(asyncio.create_task(self._keep_going("throttle", self._throttle.run)))
        await self._breaker.synced.wait()
        await self._throttle.synced.wait()
        warming = Patience("warmup", self._settings.retry_pause_seconds)
        await warming.insist(self._warmups.begin)
        self._background += [
            asyncio.create_task(self._keep_going("warmup", self._warmups.follow)),
            asyncio.create_task(self._keep_going("warmup", lambda: self._warmups.run(warming))),
            asyncio.create_task(self._keep_going("breaker", self._breaker.run)),
            asyncio.create_task(self._keep_going("adapt", self._learner.run)),
            asyncio.create_task(self._keep_going("record", self._recorder.run)),
            asyncio.create_task(self._keep_going("acknowledge", self._acknowledger.run)),
            asyncio.create_task(self._keep_going("watch", self._intake.run)),
            asyncio.create_task(self._keep_going("route", lambda: self._router.run(lambda: self._intake.open))),
            asyncio.create_task(self._keep_going("poison", self._poison.run)),
            asyncio.create_task(self._keep_going("suppression", lambda: self._suppression.follow(suppressing))),
            asyncio.create_task(self._keep_going("beat", self._pulse.run)),
        ]
        self._slots = [
            asyncio.create_task(self._slot(line))
            for line in self._lines.values()
            for _ in range(line.relay.max_connections)
        ]

    async def stop(self) -> None:
        """Take nothing more, finish what is claimed, give back the rest. Takes `stop_seconds` at most, and a few for closing."""
        for line in self._lines.values():
            line.lanes.close()
        self._background.append(asyncio.create_task(self._pulse.leave()))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stop_seconds):
                await self._intake.stop_fetching()
                if self._slots:
                    await asyncio.wait(self._slots)
                await self._recorder.room(1)
                await self._acknowledger.drain()
        await stopping.cancel([*self._slots, *self._background])
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._breaker.close()
                await self._warmups.close()
        await self._poison.close()
        await self._claims.close()
        await self._journal.close()
        await self._intake.close()
        with suppress(TimeoutError, BusError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._throttle.close()
        self._signing.close()
        for line in self._lines.values():
            await line.sessions.close()

    def _turns(self, pool: str, provider: str) -> int:
        """Sessions of the pool that work for the provider; for any, where it is empty."""
        return self._lines[pool].lanes.turns_for(provider)

    async def _keep_going(self, step: str, call: Callable[[], Awaitable[None]]) -> None:
        """What must always run, runs again whatever happens to it."""
        patience = Patience(step, self._settings.retry_pause_seconds)
        while True:
            try:
                await call()
            except BusError as error:
                await patience.wait(error)
            except Exception as error:
                _log.exception("%s failed", step)
                await patience.wait(error)

    async def _slot(self, line: Line) -> None:
        """One session's worth of work, turn after turn, until the lanes are closed."""
        patience = Patience("send", self._settings.retry_pause_seconds)
        while (turn := await self._next_turn(line)) is not None:
            lane = turn.lane
            try:
                with self._pulse.loads[line.name].of(turn):
                    await self._delivery.turn(turn)
                patience.succeeded()
            except ConnectionFailed as error:
                self._router.health[line.name].failed()
                self._learner.refused(line.name, error)
                await line.connecting.wait(error, at_least_seconds=error.retry_after_seconds or 0.0)
            except BusError as error:  # the mails come again
                await patience.wait(error)
            except Exception as error:
                _log.exception("a turn for %s failed; its mails come again", lane)
                await patience.wait(error)
            finally:
                turn.end()
                self._breaker.give_back(lane, turn.grants)
                line.budget.give(turn.reserved)
                line.lanes.done(lane, turn.moves)

    async def _next_turn(self, line: Line) -> Turn | None:
        """Waits until so few claimed mails are unstated that a session may claim as many as it takes, and then for work:
        the lane is chosen when the session can take its mails at once."""
        depth = line.relay.pipeline_depth
        await self._recorder.room(self._settings.record_backlog_mails)
        await line.budget.take(depth)
        lane = await line.lanes.next()
        return None if lane is None else Turn(line, lane, depth)


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Work to its end, unless `stop` comes first: what is waited for may be long in coming."""
    tasks = [asyncio.create_task(work), asyncio.create_task(_wait(stop))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        await stopping.cancel(tasks)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
