"""The sender: takes due mails from their lanes, hands them to the next server, and states what became of each.

One turn of a session takes a few mails of one lane through these steps:

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
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, TypeAlias, assert_never

from events import streams
from events.bus import Bus
from events.compression import FrameRefused
from events.metrics import SUPPRESSION_ENTRIES
from events.suppression import PLAIN, Hashing
from events.suppression_list import SuppressionList
from events.verp import Verp
from sender import admission, retry
from sender.acknowledger import Acknowledger
from sender.adaptive.learner import Learner
from sender.breaker.keeper import Breaker
from sender.budget import Budget
from sender.claims import Claims, Taken, Won
from sender.dkim.signing import Signing
from sender.doubts import Doubts
from sender.drivers.base import Accepted, ConnectionFailed, Driver, NotTried, Outbound, Outcome, Pool, Reply
from sender.intake import Intake
from sender.journal import Journal
from sender.lanes import Held, Lane, Lanes
from sender.outcomes import accepted, to_record
from sender.patience import Patience
from sender.poison import Poison
from sender.recorder import Recorder
from sender.retry import GiveUp, Random, Rules
from sender.routing import Router
from sender.settings import Relay, SenderSettings
from sender.throttle.throttle import Throttle
from sender.warmup.keeper import Warmups

_log = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[str, Relay], Pool]
"""Makes the sessions of a pool, given its name; does not connect yet."""

_SESSIONS_PER_ATTEMPT: Final = 3
"""A claimed mail that a session certainly did not take goes to another this often; then it is scheduled as a new attempt."""

_WITHDRAWN_AT_A_TIME: Final = 250


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


_Try: TypeAlias = tuple[Held, Outbound]
"""A claimed mail on its way out."""


class _Line(NamedTuple):
    """A pool at work: its sessions, and the lanes that they serve."""

    name: str
    sessions: Pool
    lanes: Lanes
    relay: Relay
    budget: Budget
    connecting: Patience


class _Turn:
    """A session's work for a lane, and the mails that it has in its hands."""

    def __init__(self, line: _Line, lane: Lane, reserved: int) -> None:
        self.line = line
        self.lane = lane
        self.moves = lane.moves
        self.held: list[Held] = []
        self.reserved = reserved
        """Taken from the budget and not yet tied to records."""
        self.grants = 0
        """Mails of a canary among them that were not tried yet."""
        self.permit = None if lane.gates is None else lane.gates.take(reserved)
        """What limits let pass of the lane, where anything limits it."""

    def room(self, driver: Driver) -> int:
        """How many mails may be taken."""
        if self.permit is None:
            return 0 if self.lane.gates else min(driver.room, self.reserved)
        return min(driver.room, self.reserved, self.permit.number)

    async def may_go(self, tries: int) -> int:
        """How many of so many mails may be handed over now; waits for the limits where it took long to get so far."""
        return tries if self.permit is None else await self.permit.spend(tries)

    def end(self) -> None:
        if self.permit is not None:
            self.permit.close()


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
        self._clock = clock
        self._random = random
        self._signing = Signing(settings.dkim, clock)
        self._verp = Verp(settings.verp_secret) if settings.verp_secret else None
        self._lines = {
            name: _Line(
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
        self._poison = Poison(bus, self._claims, self._doubts, clock)
        self._breaker = Breaker(bus, settings.breaker, clock, Patience("breaker", pause))
        lanes = {name: line.lanes for name, line in self._lines.items()}
        sessions = {name: line.sessions for name, line in self._lines.items()}
        self._throttle = Throttle(bus, settings.pools, sessions, random, pause)
        self._learner = Learner(
            settings.adaptive,
            settings.pools,
            self._throttle,
            clock,
            lambda pool, provider: self._lines[pool].lanes.turns_for(provider),
            Patience("adapt", pause),
        )
        self._throttle.on_change = self._learner.changed
        self._warmups = Warmups(bus, settings.pools, self._throttle.keeper, clock)
        self._router = Router(lanes, sessions, self._throttle, self._breaker, clock, settings.failover_after_seconds)
        self._intake = Intake(bus, settings, clock, lanes, self._breaker, self._throttle)
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
        ]
        self._slots = [
            asyncio.create_task(self._slot(line))
            for line in self._lines.values()
            for _ in range(line.relay.max_connections)
        ]

    async def stop(self) -> None:
        """Take nothing more, finish what is claimed, give back the rest. Takes `stop_seconds` at most."""
        for line in self._lines.values():
            line.lanes.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stop_seconds):
                await self._intake.stop_fetching()
                if self._slots:
                    await asyncio.wait(self._slots)
                await self._recorder.room(1)
                await self._acknowledger.drain()
        await _cancel([*self._slots, *self._background])
        await self._breaker.close()
        await self._warmups.close()
        await self._poison.close()
        await self._claims.close()
        await self._journal.close()
        await self._intake.close()
        self._throttle.close()
        self._signing.close()
        for line in self._lines.values():
            await line.sessions.close()

    async def _keep_going(self, step: str, call: Callable[[], Awaitable[None]]) -> None:
        """What must always run, runs again whatever happens to it."""
        patience = Patience(step, self._settings.retry_pause_seconds)
        while True:
            try:
                await call()
            except Exception as error:
                _log.exception("%s failed", step)
                await patience.wait(error)

    async def _slot(self, line: _Line) -> None:
        """One session's worth of work, turn after turn, until the lanes are closed."""
        patience = Patience("send", self._settings.retry_pause_seconds)
        while (turn := await self._next_turn(line)) is not None:
            lane = turn.lane
            try:
                await self._turn(turn)
                patience.succeeded()
            except ConnectionFailed as error:
                self._router.health[line.name].failed()
                self._learner.refused(line.name, error)
                await line.connecting.wait(error, at_least_seconds=error.retry_after_seconds or 0.0)
            except Exception as error:
                _log.exception("a turn for %s failed; its mails come again after the ack-wait", lane)
                await patience.wait(error)
            finally:
                turn.end()
                self._breaker.give_back(lane, turn.grants)
                line.budget.give(turn.reserved)
                line.lanes.done(lane, turn.moves)

    async def _next_turn(self, line: _Line) -> _Turn | None:
        """Waits until so few claimed mails are unstated that a session may claim as many as it takes, and then for work:
        the lane is chosen when the session can take its mails at once."""
        depth = line.relay.pipeline_depth
        await self._recorder.room(self._settings.record_backlog_mails)
        await line.budget.take(depth)
        lane = await line.lanes.next()
        return None if lane is None else _Turn(line, lane, depth)

    async def _turn(self, turn: _Turn) -> None:
        lane = turn.lane
        match admission.decide(lane.campaign, self._clock()):
            case admission.Send():
                await self._send(turn)
            case admission.Expire():
                unsent = await self._withdraw(lane)
                now = self._clock()
                self._recorder.put([to_record(retry.Expire(), held, now) for held in unsent])
            case admission.Drop():
                self._acknowledger.put(await self._withdraw(lane))
            case admission.Hold():
                return
            case unexpected:
                assert_never(unexpected)

    async def _withdraw(self, lane: Lane) -> list[Held]:
        """Mails that will not be sent and never were. One that somebody had before is claimed first: it may have been sent."""
        held = lane.take(_WITHDRAWN_AT_A_TIME, self._clock())
        with _letting_go(lane, held):
            again = [one for one in held if one.delivery.deliveries > 1]
            claims = await self._claims.claim(again) if again else []
            taken = [(one, claim) for one, claim in zip(again, claims, strict=True) if isinstance(claim, Taken)]
            await self._state_doubts(lane, taken)
        doubtful = {one.attempt_id for one, _ in taken}
        return [one for one in held if one.attempt_id not in doubtful]

    async def _send(self, turn: _Turn) -> None:
        line, lane = turn.line, turn.lane
        await self._suppression.current()
        with _letting_go(lane, turn.held):
            async with line.sessions.lease() as driver:
                line.connecting.succeeded()
                self._router.health[line.name].succeeded()
                turn.held += await self._take(turn, turn.room(driver))
                won, taken = await self._claim(await self._sign(line.relay, lane, self._open(lane, turn.held)))
                left = await self._deliver(driver, turn, won)
            await self._deliver_again(turn, left)
            await self._state_doubts(lane, taken)
            turn.grants -= self._breaker.count_doubts(lane, [held for held, _ in taken])

    async def _take(self, turn: _Turn, limit: int) -> list[Held]:
        """The campaign may have changed while a session was being made."""
        lane, now = turn.lane, self._clock()
        if lane.is_shut or not isinstance(admission.decide(lane.campaign, now), admission.Send):
            return []
        if not self._breaker.needs_grants(lane):
            return lane.take(limit, now)
        held, turn.grants = await self._breaker.take(lane, limit)
        return held

    def _open(self, lane: Lane, held: Sequence[Held]) -> list[_Try]:
        """The mails, decompressed; one that cannot be is given up, as it never could be."""
        opened: list[_Try] = []
        restore, return_path, verp = lane.decompressor.restore, lane.campaign.return_path, self._verp
        for one in held:
            mail = one.mail
            try:
                message, in_lines = restore(mail.body)
                back = return_path if verp is None else verp.address(return_path, lane.campaign.id, mail.mail_id)
                outbound = Outbound(mail.mail_id, mail.recipient, back, message, mail.smtputf8, in_lines)
                opened.append((one, outbound))
            except FrameRefused as error:
                given_up = GiveUp("unreadable", "unreadable", Reply(0, "", str(error)))
                self._recorder.put([to_record(given_up, one, self._clock())])
        return opened

    async def _sign(self, relay: Relay, lane: Lane, opened: list[_Try]) -> list[_Try]:
        """Before the claim: what a worker that dies has claimed and not sent is in doubt."""
        signer = self._signing.signer(relay, lane.campaign)
        if signer is None:
            return opened
        signed = await self._signing.sign(signer, [outbound for _, outbound in opened])
        return [(held, outbound) for (held, _), outbound in zip(opened, signed, strict=True)]

    async def _claim(self, opened: Sequence[_Try]) -> tuple[list[_Try], list[tuple[Held, Taken]]]:
        if not opened:
            return [], []
        claims = await self._claims.claim([held for held, _ in opened])
        won = [one for one, claim in zip(opened, claims, strict=True) if isinstance(claim, Won)]
        taken = [(held, claim) for (held, _), claim in zip(opened, claims, strict=True) if isinstance(claim, Taken)]
        return won, taken

    async def _deliver(self, driver: Driver, turn: _Turn, tries: Sequence[_Try]) -> list[_Try]:
        """Deliver, as limits let them pass, and have the outcomes recorded; returns those that the session certainly did not take."""
        while tries and (going := await turn.may_go(len(tries))):
            left = await self._deliver_now(driver, turn, tries[:going])
            tries = [*left, *tries[going:]]
            if left:
                break
        return list(tries)

    async def _deliver_now(self, driver: Driver, turn: _Turn, tries: Sequence[_Try]) -> list[_Try]:
        """A mail whose hold has lapsed is let go: somebody else may have been given it, and will find its claim."""
        now, lane = self._clock(), turn.lane
        good = [one for one in tries if now - one[0].since <= lane.hold_seconds]
        if len(good) < len(tries):
            lane.forget(held for held, _ in tries if held.lapsed(now))
        suppressed = self._suppression.among(lane.campaign.list, (held.mail.recipient for held, _ in good))
        if suppressed:
            good = self._state_suppressed(turn, good, suppressed)
        if not good:
            return []
        outcomes = await driver.deliver([outbound for _, outbound in good])
        results = list(zip(good, outcomes, strict=True))
        self._record(turn, [(held, outcome) for (held, _), outcome in results if not isinstance(outcome, NotTried)])
        return [one for one, outcome in results if isinstance(outcome, NotTried)]

    def _state_suppressed(self, turn: _Turn, tries: list[_Try], suppressed: Mapping[str, str]) -> list[_Try]:
        """Returns the others."""
        now = self._clock()
        stopped = [held for held, _ in tries if held.mail.recipient in suppressed]
        records = [to_record(retry.Suppress(suppressed[one.mail.recipient]), one, now) for one in stopped]
        stated = self._recorder.put(records)
        turn.reserved -= len(records)
        stated.add_done_callback(lambda _: turn.line.budget.give(len(records)))
        return [one for one in tries if one[0].mail.recipient not in suppressed]

    async def _deliver_again(self, turn: _Turn, left: list[_Try]) -> None:
        reason = "no session took the mail"
        for _ in range(_SESSIONS_PER_ATTEMPT - 1):
            if not left:
                return
            try:
                async with turn.line.sessions.lease() as driver:
                    room = driver.room
                    left = [*await self._deliver(driver, turn, left[:room]), *left[room:]]
            except ConnectionFailed as error:
                reason = str(error)
                break
        self._record(turn, [(held, NotTried(reason)) for held, _ in left])

    def _record(self, turn: _Turn, results: Sequence[tuple[Held, Outcome]]) -> None:
        if not results:
            return
        now, rules, random = self._clock(), self._rules(turn.lane), self._random
        records = [
            accepted(held, outcome)
            if isinstance(outcome, Accepted)
            else to_record(retry.decide(outcome, held.mail, rules, now, random), held, now)
            for held, outcome in results
        ]
        stated = self._recorder.put(records)
        self._learner.observe(turn.line.name, turn.lane.provider, [outcome for _, outcome in results])
        turn.grants -= self._breaker.count(turn.lane, records)
        self._warmups.count(turn.lane, records)
        turn.reserved -= len(results)
        stated.add_done_callback(lambda _: turn.line.budget.give(len(results)))

    async def _state_doubts(self, lane: Lane, taken: Sequence[tuple[Held, Taken]]) -> None:
        if taken:
            await self._doubts.state(taken, self._rules(lane))
            self._acknowledger.put([held for held, _ in taken])

    def _rules(self, lane: Lane) -> Rules:
        campaign = lane.campaign
        return Rules(self._settings.retry, campaign.policy, campaign.deadline, campaign.started_at or 0.0)


@contextmanager
def _letting_go(lane: Lane, held: Sequence[Held]) -> Iterator[None]:
    """Mails whose turn fails are let go, so that nobody extends their holds: they come again after the ack-wait."""
    try:
        yield
    except BaseException:
        lane.forget(held)
        raise


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Work to its end, unless `stop` comes first: what is waited for may be long in coming."""
    tasks = [asyncio.create_task(work), asyncio.create_task(_wait(stop))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        await _cancel(tasks)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
