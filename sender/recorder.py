"""Writes down what was decided, for all sessions together, and acknowledges after it: retries, dead letters, facts, then acks.

Nothing is dropped: while NATS is away the recorder waits, and `room` holds back whoever would produce more. A process that
dies at any point leaves its mails unacknowledged; they come again, their claims are taken, and `doubts` finds what was
stated. Each message has an id, so repeating a publish is harmless; beyond the time that the server remembers ids, EVENTS is
read before anything is published again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from events import facts, streams, subjects
from events.bus import Bus, Message, Stored
from events.errors import BusError
from events.facts import EmailAccepted, EmailInDoubt
from sender import metering, outcomes
from sender.claims import Claims
from sender.journal import Journal, read_at
from sender.lanes import Held, Lane
from sender.outcomes import Record
from sender.patience import Patience

LINGER_SECONDS: Final = 0.005
"""A flush waits this long for company: sessions do not wait for it, and a publish of many costs little more than one of few."""

_ACK_TRIES: Final = 3
"""A mail whose outcome is stated and that stays unacknowledged comes again, is found known, and is acknowledged then."""


class Recorder:
    def __init__(
        self, bus: Bus, claims: Claims, journal: Journal, clock: Callable[[], float], patience: Patience, backlog: int
    ) -> None:
        self._bus = bus
        self._claims = claims
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._backlog = backlog
        self._records: list[Record] = []
        self._stated: list[Held] = []
        self._unfinished = 0
        self._work = asyncio.Event()
        self._progress = asyncio.Event()
        self._acknowledging: asyncio.Task[None] | None = None

    def put(self, records: Sequence[Record]) -> None:
        """Have these written down and their mails acknowledged."""
        self._records += records
        self._unfinished += len(records)
        self._work.set()

    def acknowledge(self, held: Sequence[Held]) -> None:
        """Have these acknowledged; what there is to say about them was said."""
        self._stated += held
        self._unfinished += len(held)
        self._work.set()

    async def room(self) -> None:
        """Returns as soon as fewer than `backlog` mails wait to be written down."""
        await self._until_fewer_than(self._backlog)

    async def drain(self) -> None:
        """Returns when everything is written down and acknowledged."""
        await self._until_fewer_than(1)

    async def _until_fewer_than(self, limit: int) -> None:
        while self._unfinished >= limit:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Write down what is put, until cancelled."""
        try:
            while True:
                await self._work.wait()
                if len(self._records) < streams.ATOMIC_BATCH:
                    await asyncio.sleep(LINGER_SECONDS)
                self._work.clear()
                records, self._records = self._records, []
                stated, self._stated = self._stated, []
                await self._flush(records, stated)
        finally:
            if self._acknowledging is not None:
                self._acknowledging.cancel()

    async def _flush(self, records: Sequence[Record], stated: Sequence[Held]) -> None:
        try:
            kept = await self._write_down(records)
        except BaseException:  # let go of what was not written down: it comes again
            for held in [*(record.held for record in records), *stated]:
                held.lane.forget([held])
            self._finish(len(records) + len(stated))
            raise
        await self._acknowledge([*(record.held for record in kept), *stated], len(records) + len(stated))

    def _finish(self, number: int) -> None:
        self._unfinished -= number
        self._progress.set()

    async def _write_down(self, records: Sequence[Record]) -> Sequence[Record]:
        """Returns those that may be acknowledged."""
        now = self._clock()
        kept = [record for record in records if not _must_be_left(record, now)]
        await self._store(streams.MAIL.name, [record.retry for record in kept if record.retry is not None])
        await self._store(streams.DLQ.name, [record.dead for record in kept if record.dead is not None])
        await self._state(kept)
        metering.count(record.fact for record in kept)
        for record in records:
            if _must_be_left(record, now):
                record.held.lane.forget([record.held])
        return kept

    async def _store(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        if not messages:
            return []
        return await self._patience.insist(lambda: self._bus.publish(stream, messages))

    async def _state(self, records: Sequence[Record]) -> None:
        began, before = self._clock(), self._claims.events_seen

        async def publish() -> list[Stored]:
            forgotten = self._clock() - began >= self._bus.timing.remembered_seconds
            unstated = await self._unstated(records, before) if forgotten else records
            stored = await self._bus.publish(streams.EVENTS.name, [record.message for record in unstated])
            await self._contradict_doubts(unstated, stored)
            return stored

        stored = await self._patience.insist(publish) if records else []
        self._claims.events_seen = max(before, *(answer.sequence for answer in stored), 0)

    async def _unstated(self, records: Sequence[Record], before: int) -> list[Record]:
        """Those whose facts did not reach EVENTS in publishes that were never answered."""
        stated: set[str] = set()
        async for event in self._bus.read(streams.EVENTS.name, subjects.EVENTS, from_sequence=before + 1):
            stated.add(event.id)
        return [record for record in records if record.message.id not in stated]

    async def _contradict_doubts(self, records: Sequence[Record], stored: Sequence[Stored]) -> None:
        """Where somebody stated a doubt while our hold had lapsed, an acceptance resolves it."""
        late = {
            answer.sequence: record
            for record, answer in zip(records, stored, strict=True)
            if answer.duplicate and isinstance(record.fact, EmailAccepted)
        }
        said = await read_at(self._bus, streams.EVENTS.name, subjects.EVENTS, late)
        evidence = [
            outcomes.late_message(late[sequence].fact)
            for sequence, event in said.items()
            if isinstance(facts.decode(event.payload), EmailInDoubt)
        ]
        if evidence:
            await self._bus.publish(streams.EVENTS.name, evidence)

    async def _acknowledge(self, held: list[Held], finished: int) -> None:
        """Acknowledge while the next flush is on its way, one flush behind at most."""
        if self._acknowledging is not None:
            await self._acknowledging
        self._acknowledging = asyncio.create_task(self._acknowledge_now(held, finished))

    async def _acknowledge_now(self, held: list[Held], finished: int) -> None:
        by_lane: dict[Lane, list[Held]] = {}
        for one in held:
            by_lane.setdefault(one.lane, []).append(one)
        try:
            await asyncio.gather(*(self._acknowledge_lane(lane, held) for lane, held in by_lane.items()))
        finally:
            self._finish(finished)

    async def _acknowledge_lane(self, lane: Lane, held: list[Held]) -> None:
        for _ in range(_ACK_TRIES):
            try:
                await lane.consumer.ack([one.delivery for one in held])
            except BusError as error:
                await self._patience.wait(error)
            else:
                break
        lane.forget(held)


def _must_be_left(record: Record, now: float) -> bool:
    """Whether another worker may decide on the mail's next attempt: under `at_least_once`, once our hold has lapsed.

    Then it is left unacknowledged, and whoever gets it states the doubt and schedules the retry, once.
    """
    held = record.held
    return record.retry is not None and held.lane.campaign.policy == "at_least_once" and held.lapsed(now)
