"""The mails that this process holds, lane by lane, and whose turn it is.

A mail is *held* from its delivery by the server until it is acknowledged or given back. A hold is a lease: after the ack-wait
the server gives the mail to somebody else. `Held.since` is the latest moment at which the server is certain to have been
bound still, so a process that was frozen, or cut off, finds its holds lapsed and lets go of them instead of sending.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import Final

import msgspec

from events import breaker, ids, providers, schemas, streams, subjects
from events.bus import Consumer, Delivery
from events.compression import Decompressor
from events.schemas import Campaign, Mail
from sender import admission
from sender.throttle.lane_gates import LaneGates
from sender.turns import Share, Turns

_log = logging.getLogger(__name__)

HOLD_SECONDS: Final = streams.Timing().hold_seconds
"""With the usual ack-wait."""


SUSPICIOUS_DELIVERIES: Final = 3
"""A mail that comes this often was in the hands of workers who died, and may have killed them. Mails that were only near it
must not share its fate: suspicious mails are taken one at a time, and every other time in the reverse order, so that those
behind the one that kills are settled before it kills again."""

_ACTIVE_SECONDS: Final = 1.0
"""A lane whose last mails were taken so lately counts as one that needs sessions."""

_PARTS: Final = len(providers.PROVIDERS)
"""A lane's equal part is no larger than this allows: the other lanes of its campaign may be opened a moment later."""

_BEYOND_ITS_PART: Final = 2
"""So many turns may begin for each that ends where a lane has its equal part of the sessions: so it grows by one each time."""


class Held:
    """One mail in this process's hands."""

    __slots__ = ("attempt_id", "delivery", "lane", "mail", "pool", "since", "suspicious", "taken")

    def __init__(self, lane: Lane, delivery: Delivery, mail: Mail, since: float) -> None:
        self.lane = lane
        self.pool = lane.pool
        """Through which it is tried; settled when it is taken."""
        self.delivery = delivery
        self.suspicious = lane.deaths(delivery) >= SUSPICIOUS_DELIVERIES
        """Whether workers who held it have died repeatedly."""
        self.mail = mail
        self.since = since
        self.taken = False
        """A session has it; from here on only an extension that was confirmed in time renews the hold."""
        self.attempt_id = ids.attempt_id(mail.mail_id, mail.attempt)

    def delivered_again(self, delivery: Delivery, since: float) -> None:
        """Our own hold had lapsed, and the server gave the mail to us once more."""
        self.delivery = delivery
        self.suspicious = self.lane.deaths(delivery) >= SUSPICIOUS_DELIVERIES
        if not self.taken:
            self.since = since

    def lapsed(self, now: float) -> bool:
        """Whether the server may have given the mail to somebody else."""
        return now - self.since > self.lane.hold_seconds


class Lane:
    """One campaign's mails for one mailbox provider, as far as they are in this process."""

    def __init__(
        self,
        campaign: Campaign,
        provider: str,
        consumer: Consumer,
        decompressor: Decompressor,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self.campaign = campaign
        self.pool = campaign.pools_for(provider)[0]
        """Through which its mails go now (`routing`)."""
        self.hold_seconds = hold_seconds
        self.provider = provider
        self.consumer = consumer
        self.decompressor = decompressor
        self.waiting: deque[Held] = deque()
        """Held and unclaimed, in order."""
        self.unsettled: dict[int, Held] = {}
        """Everything held, by sequence."""
        self.lapses: Counter[int] = Counter()
        """How often we held a mail for too long, without its outcome, and lived on; by sequence."""
        self.turns = 0
        """Sessions that work for this lane now."""
        self.since_done = 0
        """Turns that began since one ended."""
        self.moves = 0
        """How often it left a pool; turns of a pool that it has left do not count any more."""
        self.share: Share | None = None
        """What its campaign has had of the pool; once the lane is among `Lanes`."""
        self.taken_at = 0.0
        """When mails were taken last, Unix seconds."""
        self.accepted_subject = subjects.event("accepted", campaign.id)
        """Where the fact goes that nearly every mail ends with."""
        self.gates: LaneGates | None = None
        """What limits it, and all senders together (`sender.throttle`); None: nothing does."""
        self.stopped = False
        """The circuit breaker is open (`sender.breaker`): nothing is tried."""
        self.first_tries_stopped = False
        """The campaign waits for its canary: only retries go on, and lie before the others."""
        self.changed = asyncio.Event()
        """Set when there may be reason to fetch again: mails were taken, or the campaign changed."""

    @property
    def home(self) -> str:
        """The pool in the subject of its mails, wherever they go."""
        return self.campaign.pool

    def __str__(self) -> str:
        return streams.lane_name(self.campaign.id, self.home, self.provider)

    @property
    def key(self) -> str:
        """Of what senders share about it."""
        return breaker.lane_key(self.pool, self.provider)

    @property
    def is_shut(self) -> bool:
        """Whether what comes next may not be tried now."""
        if self.first_tries_stopped and self.waiting and self.waiting[0].mail.attempt == 1:
            return True
        return self.stopped

    def becomes(self, campaign: Campaign) -> None:
        """The newest state of its campaign."""
        self.campaign = campaign
        if self.share is not None:
            self.share.follow(campaign)
        self.changed.set()

    def hold_back_first_tries(self, hold_back: bool) -> None:
        """Retries go before them meanwhile."""
        if hold_back and not self.first_tries_stopped:
            self._retries_first()
        self.first_tries_stopped = hold_back

    def _retries_first(self) -> None:
        ordered = sorted(self.waiting, key=_is_first_try)
        self.waiting.clear()
        self.waiting.extend(ordered)

    def receive(self, deliveries: Sequence[Delivery], since: float) -> None:
        """Hold what was delivered, by a server that was asked no earlier than `since`."""
        for delivery in deliveries:
            again = self.unsettled.get(delivery.sequence)
            if again is not None:
                self.lapses[delivery.sequence] += 1
                again.delivered_again(delivery, since)
                continue
            try:
                mail = schemas.decode_mail(delivery.payload)
            except msgspec.DecodeError:
                _log.exception(
                    "message %d of %s is no mail; it stays in the stream", delivery.sequence, delivery.subject
                )
                continue
            held = self.unsettled[delivery.sequence] = Held(self, delivery, mail, since)
            if held.suspicious and delivery.deliveries % 2:
                self.waiting.appendleft(held)
            else:
                self.waiting.append(held)
        if self.first_tries_stopped:
            self._retries_first()

    def take(self, limit: int, now: float) -> list[Held]:
        """Up to `limit` waiting mails whose hold is good; lets go of the others. A suspicious mail is taken alone."""
        taken: list[Held] = []
        waiting, hold_seconds = self.waiting, self.hold_seconds
        while waiting and len(taken) < limit:
            held = waiting[0]
            if held.suspicious:
                if taken:
                    break
                limit = 1
            waiting.popleft()
            if now - held.since > hold_seconds:
                self._let_lapse(held)
            else:
                held.taken, held.pool = True, self.pool
                taken.append(held)
        if taken:
            self.taken_at = now
            if self.share is not None:
                self.share.charge(len(taken))
        self.changed.set()
        return taken

    def take_granted(self, limit: int, now: float, first_tries: int) -> list[Held]:
        """As `take`, with no more than so many mails that were never tried."""
        taken: list[Held] = []
        while len(taken) < limit and (head := self._good_head(now)) is not None:
            is_first = head.mail.attempt == 1
            if (is_first and first_tries == 0) or (head.suspicious and taken):
                break
            first_tries -= is_first
            taken += self.take(1, now)
            if head.suspicious:
                break
        return taken

    def _good_head(self, now: float) -> Held | None:
        """The next mail whose hold is good; lets go of others before it."""
        while self.waiting:
            if not self.waiting[0].lapsed(now):
                return self.waiting[0]
            self._let_lapse(self.waiting.popleft())
            self.changed.set()
        return None

    def _let_lapse(self, held: Held) -> None:
        self.unsettled.pop(held.delivery.sequence, None)
        self.lapses[held.delivery.sequence] += 1

    def deaths(self, delivery: Delivery) -> int:
        """How many workers may have died over the mail, this time included: so often it was delivered, and not to us in vain."""
        return delivery.deliveries - self.lapses.get(delivery.sequence, 0)

    def put_back(self, held: Sequence[Held]) -> None:
        """Nobody claimed them: they wait again, before the others."""
        for one in held:
            one.taken = False
        self.waiting.extendleft(reversed(held))
        if self.first_tries_stopped:
            self._retries_first()

    def forget(self, held: Iterable[Held]) -> None:
        """Settled, or let go: not extended any more."""
        for one in held:
            self.unsettled.pop(one.delivery.sequence, None)
            if self.lapses:
                self.lapses.pop(one.delivery.sequence, None)


def _is_first_try(held: Held) -> bool:
    return held.mail.attempt == 1


class Lanes:
    """The lanes of one pool, and whose turn it is: by class and weight (`turns`), no lane more than its share of the sessions.

    Up to an equal part of the sessions, and up to `share`, a lane gets those it asks for; beyond the part, or where it is alone
    beyond the share, only as fast as its turns end. So a lane whose turns do not end keeps what it had, and the sessions of
    the others stay theirs.
    """

    def __init__(self, sessions: int, share: float, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._most_turns = max(1, ceil(sessions * share))
        self._clock = clock
        self._lanes: list[Lane] = []
        self._turns: Turns[Lane] = Turns()
        self._at_work: Counter[str] = Counter()
        """Sessions in a turn, by mailbox provider; also those for lanes that have moved to another pool since."""
        self._idle: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def add(self, lane: Lane) -> None:
        self._lanes.append(lane)
        self._turns.add(lane)
        self.notify()

    def remove(self, lane: Lane) -> None:
        self._lanes.remove(lane)
        self._turns.remove(lane)
        lane.turns = lane.since_done = 0
        lane.moves += 1

    def notify(self) -> None:
        """Something changed that may make a lane ready. Wakes one session, which wakes the next if there was work for it."""
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def close(self) -> None:
        """No more turns."""
        self._closed = True
        while self._idle:
            self.notify()

    async def next(self) -> Lane | None:
        """The lane whose turn it is, once there is one; its `turns` are counted up. None: no more turns."""
        woken = False
        while not self._closed:
            lane = self._choose()
            if lane is not None:
                lane.turns += 1
                lane.since_done += 1
                self._at_work[lane.provider] += 1
                if woken:
                    self.notify()
                return lane
            await self._news()
            woken = True
        return None

    async def _news(self) -> None:
        idle = asyncio.get_running_loop().create_future()
        self._idle.append(idle)
        try:
            await idle
        except asyncio.CancelledError:
            if idle.done() and not idle.cancelled():
                self.notify()  # woken and cancelled at once: the news is for somebody else
            raise

    def turns_for(self, provider: str) -> int:
        """Sessions that work for its lanes now; for any, where the provider is empty."""
        return self._at_work[provider] if provider else self._at_work.total()

    def done(self, lane: Lane, moves: int) -> None:
        """The turn that `next` gave is over; `moves` were the lane's when it was given."""
        self._at_work[lane.provider] -= 1
        if lane.moves == moves:
            lane.turns -= 1
            lane.since_done = 0
        self.notify()

    def _choose(self) -> Lane | None:
        lanes, now = self._lanes, self._clock()
        active = sum([1 for lane in lanes if _is_active(lane, now)]) or 1

        def is_ready(lane: Lane) -> bool:
            if not lane.waiting or not self._may_have_another(lane, active):
                return False
            return _may_move(lane, now) and _is_open(lane, now)

        chosen = self._turns.choose(is_ready)
        if chosen is None or chosen.gates is None or chosen.share is None:
            return chosen
        return next((lane for lane in chosen.share.lanes if _presses(lane) and is_ready(lane)), chosen)

    def _may_have_another(self, lane: Lane, active: int) -> bool:
        if lane.turns < min(self._sessions // max(active, _PARTS), self._most_turns):
            return True
        most = self._sessions if active == 1 else self._most_turns
        return lane.turns < most and lane.since_done < _BEYOND_ITS_PART


def _is_active(lane: Lane, now: float) -> bool:
    """Also while it has nothing for a moment: whoever takes its sessions then may not give them back for long."""
    if lane.turns or now - lane.taken_at < _ACTIVE_SECONDS:
        return True
    return bool(lane.waiting) and _may_move(lane, now) and (lane.gates is None or not lane.gates.opens_in())


def _may_move(lane: Lane, now: float) -> bool:
    """Mails that expire or are dropped may, whatever stops the lane."""
    decision = admission.decide(lane.campaign, now)
    return not isinstance(decision, admission.Hold) and not (lane.is_shut and isinstance(decision, admission.Send))


def _is_open(lane: Lane, now: float) -> bool:
    """Whether limits let its mails pass, which those do not need that expire or are dropped."""
    gates = lane.gates
    return gates is None or gates.is_open() or not isinstance(admission.decide(lane.campaign, now), admission.Send)


def _presses(lane: Lane) -> bool:
    """Whether it goes before the other lanes of its campaign."""
    return lane.gates is not None and lane.gates.presses()
