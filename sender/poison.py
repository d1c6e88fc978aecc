"""Mails that were delivered as often as is allowed, without any outcome: they kill their workers.

JetStream keeps such a mail in its stream and says so in an advisory, which the stream ADVISORIES stores. Any sender takes
care of it. It claims the attempt, like every attempt: where nobody did before, the mail was never given to a relay, and it is
given up; otherwise it is in doubt. The dead letter and the fact are stored first, then the mail leaves MAIL, then the advisory
is acknowledged, so that a death in between repeats what is harmless to repeat.

A sender that held such a mail itself, too slow to extend its hold, knows that nobody died over it that time: then the mail gets a
new attempt instead, and with it as many deliveries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from events import advisories, campaigns, schemas, streams, subjects
from events.bus import Bus, Consumer, Delivery
from events.campaigns import CampaignNotFound
from events.compression import Decompressor
from events.errors import BusError
from sender import metering, outcomes
from sender.claims import Claims, Won
from sender.doubts import Doubts
from sender.drivers.base import Reply
from sender.journal import read_at
from sender.lanes import Held, Lane
from sender.retry import Decision, GiveUp, RetryAt, Rules
from sender.settings import RetryPolicy

_log = logging.getLogger(__name__)

POISON: Final = "poison"
"""The class of a mail that was given up because nobody survived it."""

_AT_A_TIME: Final = 20
_WAIT_SECONDS: Final = 5.0


class Poison:
    """Buries poisonous mails. Several processes may do so at once."""

    def __init__(
        self, bus: Bus, claims: Claims, doubts: Doubts, clock: Callable[[], float], lapses: Callable[[int], int]
    ) -> None:
        """`lapses` says of a sequence of MAIL how often this process held the mail in vain, and lived."""
        self._bus = bus
        self._claims = claims
        self._doubts = doubts
        self._clock = clock
        self._lapses = lapses
        self._consumer: Consumer | None = None

    async def run(self) -> None:
        """Wait for advisories, until cancelled. Raises `RetryLater` where NATS is away."""
        if self._consumer is None:
            self._consumer = await self._bus.consumer(streams.ADVISORIES.name, streams.POISON.name)
        while True:
            for delivery in await self._consumer.fetch(_AT_A_TIME, _WAIT_SECONDS):
                await self._bury(self._consumer, delivery)
                await self._consumer.ack([delivery])

    async def close(self) -> None:
        """What was not buried comes again, to whoever asks next."""
        if self._consumer is not None:
            with suppress(BusError):
                await self._consumer.close()

    async def _bury(self, consumer: Consumer, delivery: Delivery) -> None:
        advisory = advisories.decode(delivery.payload)
        held = await self._look_up(consumer, advisory)
        if held is None:
            return
        (claim,) = await self._claims.claim([held])
        if isinstance(claim, Won):
            in_vain = self._lapses(advisory.stream_seq)
            await self._decide(held, _after(advisory.deliveries, in_vain, held, self._clock()))
            text = "mail %s of %s was delivered %d times, nobody survived it, and it lies in the DLQ now"
            if in_vain:
                text = (
                    "mail %s of %s was delivered %d times, to senders too slow to extend their hold; it is tried again"
                )
        else:
            await self._doubts.state([(held, claim)], Rules(RetryPolicy(), "at_most_once", None))
            text = (
                "mail %s of %s was delivered %d times without an acknowledgement; its outcome, or the doubt, is stated"
            )
        await self._bus.delete(streams.MAIL.name, [advisory.stream_seq])
        _log.error(text, held.mail.mail_id, held.lane.campaign.id, advisory.deliveries)

    async def _look_up(self, consumer: Consumer, advisory: advisories.MaxDeliveries) -> Held | None:
        """The mail, as if we held it; None where it is gone, as its outcome was stated."""
        sequence = advisory.stream_seq
        record = (await read_at(self._bus, streams.MAIL.name, subjects.MAIL_DUE, [sequence])).get(sequence)
        if record is None:
            return None
        _, _, _, provider, campaign_id = record.subject.split(".")
        try:
            mail = schemas.decode_mail(record.payload)
            campaign = await campaigns.get(self._bus, campaign_id)
        except (msgspec.DecodeError, CampaignNotFound):
            _log.exception("message %d of %s stays in the stream", sequence, record.subject)
            return None
        lane = Lane(campaign, provider, consumer, Decompressor(b""))  # only names the lane: nothing is sent or fetched
        again = Delivery(record.payload, record.subject, sequence, advisory.deliveries, "")
        return Held(lane, again, mail, self._clock())

    async def _decide(self, held: Held, decision: Decision) -> None:
        record = outcomes.to_record(decision, held, self._clock())
        if record.retry is not None:
            await self._bus.publish(streams.MAIL.name, [record.retry])
        if record.dead is not None:
            await self._bus.publish(streams.DLQ.name, [record.dead])
        (stored,) = await self._bus.publish(streams.EVENTS.name, [record.message])
        if not stored.duplicate:
            metering.count([record.fact])


def _after(deliveries: int, in_vain: int, held: Held, now: float) -> GiveUp | RetryAt:
    """`in_vain`: so many of the deliveries nobody died over."""
    reason = f"delivered {deliveries} times without an outcome"
    if in_vain:
        return RetryAt(now, "transient", held.mail.charged, Reply(0, "", f"{reason}, to senders that were too slow"))
    return GiveUp(POISON, POISON, Reply(0, "", reason))
