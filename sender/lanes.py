"""The mails that this process holds, lane by lane, and whose turn it is.

A mail is *held* from its delivery by the server until it is acknowledged or given back. A hold is a lease: after the ack-wait
the server gives the mail to somebody else. `Held.since` is the latest moment at which the server is certain to have been
bound still, so a process that was frozen, or cut off, finds its holds lapsed and lets go of them instead of sending.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import Final

import msgspec

from events import ids, schemas, streams
from events.bus import Consumer, Delivery
from events.compression import Decompressor
from events.schemas import Campaign, Mail
from sender import admission

_log = logging.getLogger(__name__)

HOLD_SECONDS: Final = streams.Timing().hold_seconds
"""With the usual ack-wait."""


SUSPICIOUS_DELIVERIES: Final = 3
"""A mail that comes this often was in the hands of workers who died, and may have killed them. Mails that were only near it
must not share its fate: suspicious mails are taken one at a time, and every other time in the reverse order, so that those
behind the one that kills are settled before it kills again."""


class Held:
    """One mail in this process's hands."""

    __slots__ = ("attempt_id", "delivery", "lane", "mail", "since", "taken")

    def __init__(self, lane: Lane, delivery: Delivery, mail: Mail, since: float) -> None:
        self.lane = lane
        self.delivery = delivery
        self.mail = mail
        self.since = since
        self.taken = False
        """A session has it; from here on only an extension that was confirmed in time renews the hold."""
        self.attempt_id = ids.attempt_id(mail.mail_id, mail.attempt)

    @property
    def suspicious(self) -> bool:
        """Whether workers who held it have died repeatedly."""
        return self.delivery.deliveries >= SUSPICIOUS_DELIVERIES

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
        self.hold_seconds = hold_seconds
        self.provider = provider
        self.consumer = consumer
        self.decompressor = decompressor
        self.waiting: deque[Held] = deque()
        """Held and unclaimed, in order."""
        self.unsettled: dict[int, Held] = {}
        """Everything held, by sequence."""
        self.turns = 0
        """Sessions that work for this lane now."""
        self.changed = asyncio.Event()
        """Set when there may be reason to fetch again: mails were taken, or the campaign changed."""

    @property
    def pool(self) -> str:
        return self.campaign.pool

    def __str__(self) -> str:
        return streams.lane_name(self.campaign.id, self.pool, self.provider)

    def receive(self, deliveries: Sequence[Delivery], since: float) -> None:
        """Hold what was delivered, by a server that was asked no earlier than `since`."""
        for delivery in deliveries:
            again = self.unsettled.get(delivery.sequence)
            if again is not None:  # our own hold had lapsed, and the server gave the mail to us once more
                again.delivery = delivery
                again.since = again.since if again.taken else since
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

    def take(self, limit: int, now: float) -> list[Held]:
        """Up to `limit` waiting mails whose hold is good; lets go of the others. A suspicious mail is taken alone."""
        taken: list[Held] = []
        while self.waiting and len(taken) < limit and not (taken and self.waiting[0].suspicious):
            limit = 1 if self.waiting[0].suspicious else limit
            held = self.waiting.popleft()
            if held.lapsed(now):
                self.unsettled.pop(held.delivery.sequence, None)
            else:
                held.taken = True
                taken.append(held)
        self.changed.set()
        return taken

    def forget(self, held: Iterable[Held]) -> None:
        """Settled, or let go: not extended any more."""
        for one in held:
            self.unsettled.pop(one.delivery.sequence, None)


class Lanes:
    """The lanes of one pool, and a fair choice among them: round robin, and no lane more than its share of the sessions."""

    def __init__(self, sessions: int, share: float, clock: Callable[[], float]) -> None:
        self._most_turns = max(1, ceil(sessions * share))
        self._clock = clock
        self._lanes: deque[Lane] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def add(self, lane: Lane) -> None:
        self._lanes.append(lane)
        self.notify()

    def remove(self, lane: Lane) -> None:
        self._lanes.remove(lane)

    def notify(self) -> None:
        """Something changed that may make a lane ready."""
        self._news.set()

    def close(self) -> None:
        """No more turns."""
        self._closed = True
        self.notify()

    async def next(self) -> Lane | None:
        """The lane whose turn it is, once there is one; its `turns` are counted up. None: no more turns."""
        while not self._closed:
            lane = self._choose()
            if lane is not None:
                lane.turns += 1
                return lane
            self._news.clear()
            await self._news.wait()
        return None

    def done(self, lane: Lane) -> None:
        """The turn that `next` gave is over."""
        lane.turns -= 1
        self.notify()

    def _choose(self) -> Lane | None:
        now = self._clock()
        alone = sum(1 for lane in self._lanes if lane.waiting or lane.turns) < 2
        for _ in range(len(self._lanes)):
            lane = self._lanes[0]
            self._lanes.rotate(-1)
            if lane.waiting and (alone or lane.turns < self._most_turns) and _may_move(lane, now):
                return lane
        return None


def _may_move(lane: Lane, now: float) -> bool:
    return not isinstance(admission.decide(lane.campaign, now), admission.Hold)
