"""One turn of a session: takes a lane's mails through admission, claim and delivery, and has what became of them written down.

`worker` says when a turn begins, and in which order these steps stand, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, assert_never

from events.compression import FrameRefused
from events.suppression_list import SuppressionList
from events.verp import Verp
from sender import admission, retry
from sender.acknowledger import Acknowledger
from sender.adaptive.learner import Learner
from sender.breaker.keeper import Breaker
from sender.claims import Claims, Taken, Won
from sender.dkim.signing import Signing
from sender.doubts import Doubts
from sender.drivers.base import Accepted, ConnectionFailed, Driver, NotTried, Outbound, Outcome, Reply
from sender.lanes import Held, Lane
from sender.outcomes import accepted, to_record
from sender.recorder import Recorder
from sender.retry import GiveUp, Random, Rules
from sender.routing import Router
from sender.settings import RetryPolicy
from sender.turn import Try, Turn, letting_go
from sender.warmup.keeper import Warmups

_SESSIONS_PER_ATTEMPT: Final = 3
"""A claimed mail that a session certainly did not take goes to another this often; then it is scheduled as a new attempt."""

_WITHDRAWN_AT_A_TIME: Final = 250


class Parts(NamedTuple):
    """What a turn needs of the worker."""

    claims: Claims
    doubts: Doubts
    recorder: Recorder
    acknowledger: Acknowledger
    suppression: SuppressionList
    signing: Signing
    verp: Verp | None
    """Return paths that say which mail bounced; None: every mail has its campaign's."""
    breaker: Breaker
    learner: Learner
    warmups: Warmups
    router: Router
    retries: RetryPolicy


class Delivery:
    """What every turn goes through."""

    def __init__(self, parts: Parts, clock: Callable[[], float], random: Random) -> None:
        self._claims = parts.claims
        self._doubts = parts.doubts
        self._recorder = parts.recorder
        self._acknowledger = parts.acknowledger
        self._suppression = parts.suppression
        self._signing = parts.signing
        self._verp = parts.verp
        self._breaker = parts.breaker
        self._learner = parts.learner
        self._warmups = parts.warmups
        self._router = parts.router
        self._retries = parts.retries
        self._clock = clock
        self._random = random

    async def turn(self, turn: Turn) -> None:
        """Raises `ConnectionFailed` where no session could be had; then nothing was claimed."""
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
        with letting_go(lane, held):
            again = [one for one in held if one.delivery.deliveries > 1]
            claims = await self._claims.claim(again) if again else []
            taken = [(one, claim) for one, claim in zip(again, claims, strict=True) if isinstance(claim, Taken)]
            await self._state_doubts(lane, taken)
        doubtful = {one.attempt_id for one, _ in taken}
        return [one for one in held if one.attempt_id not in doubtful]

    async def _send(self, turn: Turn) -> None:
        line, lane = turn.line, turn.lane
        await self._suppression.current()
        with letting_go(lane, turn.held):
            async with line.sessions.lease() as driver:
                line.connecting.succeeded()
                self._router.health[line.name].succeeded()
                turn.held += await self._take(turn, turn.room(driver))
                won, taken = await self._claim(await self._sign(turn, self._open(lane, turn.held)))
                left = await self._deliver(driver, turn, won)
            await self._deliver_again(turn, left)
            await self._state_doubts(lane, taken)
            turn.grants -= self._breaker.count_doubts(lane, [held for held, _ in taken])

    async def _take(self, turn: Turn, limit: int) -> list[Held]:
        """The campaign may have changed while a session was being made, and the lane may go through another pool."""
        lane, now = turn.lane, self._clock()
        if (
            lane.moves != turn.moves
            or lane.is_shut
            or not isinstance(admission.decide(lane.campaign, now), admission.Send)
        ):
            return []
        if not self._breaker.needs_grants(lane):
            return lane.take(limit, now)
        held, turn.grants = await self._breaker.take(lane, limit)
        return held

    def _open(self, lane: Lane, held: Sequence[Held]) -> list[Try]:
        """The mails, decompressed; one that cannot be is given up, as it never could be."""
        opened: list[Try] = []
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

    async def _sign(self, turn: Turn, opened: list[Try]) -> list[Try]:
        """Before the claim: what a worker that dies has claimed and not sent is in doubt.

        What fails here, a key or a thread that cannot be had, is no fault of the mails: they are kept for the next turn, since
        to let them go would use up one of their deliveries each time.
        """
        signer = self._signing.signer(turn.line.relay, turn.lane.campaign)
        if signer is None:
            return opened
        try:
            signed = await self._signing.sign(signer, [outbound for _, outbound in opened])
        except Exception:
            turn.held.clear()
            turn.lane.put_back([held for held, _ in opened])
            raise
        return [(held, outbound) for (held, _), outbound in zip(opened, signed, strict=True)]

    async def _claim(self, opened: Sequence[Try]) -> tuple[list[Try], list[tuple[Held, Taken]]]:
        if not opened:
            return [], []
        claims = await self._claims.claim([held for held, _ in opened])
        won = [one for one, claim in zip(opened, claims, strict=True) if isinstance(claim, Won)]
        taken = [(held, claim) for (held, _), claim in zip(opened, claims, strict=True) if isinstance(claim, Taken)]
        return won, taken

    async def _deliver(self, driver: Driver, turn: Turn, tries: Sequence[Try]) -> list[Try]:
        """Deliver as limits let them pass, and have outcomes recorded; returns those that the session certainly did not take."""
        while tries and (going := await turn.may_go(len(tries))):
            left = await self._deliver_now(driver, turn, tries[:going])
            tries = [*left, *tries[going:]]
            if left:
                break
        return list(tries)

    async def _deliver_now(self, driver: Driver, turn: Turn, tries: Sequence[Try]) -> list[Try]:
        """A mail whose hold has lapsed is let go: somebody else may have been given it, and will find its claim.

        The claim may have taken long, while NATS was away, so that the suppression list is looked at anew."""
        await self._suppression.current()
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

    def _state_suppressed(self, turn: Turn, tries: list[Try], suppressed: Mapping[str, str]) -> list[Try]:
        """Returns the others."""
        now = self._clock()
        stopped = [held for held, _ in tries if held.mail.recipient in suppressed]
        records = [to_record(retry.Suppress(suppressed[one.mail.recipient]), one, now) for one in stopped]
        stated = self._recorder.put(records)
        turn.reserved -= len(records)
        stated.add_done_callback(lambda _: turn.line.budget.give(len(records)))
        return [one for one in tries if one[0].mail.recipient not in suppressed]

    async def _deliver_again(self, turn: Turn, left: list[Try]) -> None:
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

    def _record(self, turn: Turn, results: Sequence[tuple[Held, Outcome]]) -> None:
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
        turn.grants -= self._breaker.count(turn.lane, turn.key, records)
        self._warmups.count(turn.key, records)
        turn.reserved -= len(results)
        stated.add_done_callback(lambda _: turn.line.budget.give(len(results)))

    async def _state_doubts(self, lane: Lane, taken: Sequence[tuple[Held, Taken]]) -> None:
        if taken:
            await self._doubts.state(taken, self._rules(lane))
            self._acknowledger.put([held for held, _ in taken])

    def _rules(self, lane: Lane) -> Rules:
        campaign = lane.campaign
        return Rules(self._retries, campaign.policy, campaign.deadline, campaign.started_at or 0.0)
