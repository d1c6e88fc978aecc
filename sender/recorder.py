"""Writes down what was decided, for all sessions together, and acknowledges after it: retries, dead letters, dead addresses,
facts, then acks.

Nothing is dropped: while NATS is away the recorder waits, and `room` holds back whoever would produce more. A process that
dies at any point leaves its mails unacknowledged; they come again, their claims are taken, and `doubts` finds what was
stated. Each message has an id, so repeating a publish is harmless; beyond the time that the server remembers ids, what the
streams hold already is left out: facts that are in EVENTS, and retries that were queued (`scheduled`). Two letters about one
try harm nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from events import facts, streams, subjects
from events.bus import Bus, Message, Stored
from events.facts import EmailAccepted, EmailBounced, EmailInDoubt, MailFact
from events.suppression import Hashing
from sender import metering, outcomes, scheduled
from sender.acknowledger import Acknowledger
from sender.claims import Claims
from sender.journal import Journal, read_at
from sender.lanes import Held
from sender.outcomes import Record
from sender.patience import Patience

LINGER_SECONDS: Final = 0.002
"""A flush waits this long for company: a publish of many costs little more than one of few."""


class Recorder:
    def __init__(
        self,
        bus: Bus,
        claims: Claims,
        journal: Journal,
        clock: Callable[[], float],
        patience: Patience,
        acknowledger: Acknowledger,
        hashing: Hashing,
    ) -> None:
        self._bus = bus
        self._claims = claims
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._acknowledger = acknowledger
        self._hashing = hashing
        self._records: list[Record] = []
        self._events_before = 0
        """A sequence of EVENTS from before the first of them was decided."""
        self._stated: asyncio.Future[None] | None = None
        self._unfinished = 0
        self._work = asyncio.Event()
        self._progress = asyncio.Event()

    def put(self, records: Sequence[Record]) -> asyncio.Future[None]:
        """Have these, decided just now, written down and then acknowledged. The future is done when they are written down,
        or let go."""
        if not self._records:
            self._events_before = self._claims.events_seen
        self._records += records
        self._unfinished += len(records)
        self._work.set()
        if self._stated is None:
            self._stated = asyncio.get_running_loop().create_future()
        return self._stated

    async def room(self, limit: int) -> None:
        """Returns as soon as fewer than `limit` mails wait to be written down."""
        while self._unfinished >= limit:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Write down what is put, until cancelled."""
        while True:
            await self._work.wait()
            if len(self._records) < streams.ATOMIC_BATCH:
                await asyncio.sleep(LINGER_SECONDS)
            self._work.clear()
            records, self._records = self._records, []
            stated, self._stated = self._stated, None
            try:
                self._acknowledger.put(await self._write_down(records, self._events_before))
            except BaseException:
                for record in records:  # let go of what may not be written down: it comes again
                    record.held.lane.forget([record.held])
                raise
            finally:
                self._unfinished -= len(records)
                self._progress.set()
                if stated is not None:
                    stated.set_result(None)

    async def _write_down(self, records: Sequence[Record], events_before: int) -> list[Held]:
        """Returns the mails that may be acknowledged."""
        now = self._clock()
        left = [record for record in records if record.retry is not None and _must_be_left(record, now)]
        kept = [record for record in records if record.retry is None or not _must_be_left(record, now)]
        await self._schedule([record for record in kept if record.retry is not None], events_before)
        await self._bury([record.dead for record in kept if record.dead is not None])
        await self._suppress([record for record in kept if _is_dead_address(record.fact)])
        await self._state(kept)
        metering.count([record.fact for record in kept])
        for record in left:
            record.held.lane.forget([record.held])
        return [record.held for record in kept]

    async def _schedule(self, records: Sequence[Record], events_before: int) -> None:
        """Queue the next tries."""

        async def publish() -> None:
            known = await self._scheduled(records, events_before)
            retries = [record.retry for record in records if record.retry is not None and record.retry.id not in known]
            await self._bus.publish(streams.MAIL.name, retries)

        if records:
            await self._patience.insist(publish)

    async def _scheduled(self, records: Sequence[Record], events_before: int) -> set[str]:
        """The ids of those whose publish was never answered, or that a person put back, so long ago that the server forgot."""
        now, remembered = self._clock(), self._bus.timing.remembered_seconds
        old: dict[str, list[Record]] = {}
        for record in records:
            if now - record.fact.at >= remembered:
                old.setdefault(record.held.lane.campaign.id, []).append(record)
        known: set[str] = set()
        for of_campaign in old.values():
            known |= await scheduled.already(self._bus, of_campaign, events_before)
        return known

    async def _bury(self, letters: Sequence[Message]) -> None:
        if letters:
            await self._patience.insist(lambda: self._bus.publish(streams.DLQ.name, letters))

    async def _suppress(self, records: Sequence[Record]) -> None:
        """Before the fact: once that is stored, nobody would come back to this."""
        if records:
            entries = [outcomes.suppression_message(record, self._hashing) for record in records]
            await self._patience.insist(lambda: self._bus.publish(streams.SUPPRESSION.name, entries))

    async def _state(self, records: Sequence[Record]) -> None:
        began, before = self._clock(), self._claims.events_seen

        async def publish() -> list[Stored]:
            forgotten = self._clock() - began >= self._bus.timing.remembered_seconds
            unstated = await self._unstated(records, before) if forgotten else records
            stored = await self._bus.publish(streams.EVENTS.name, [record.message for record in unstated])
            await self._contradict_doubts(unstated, stored)
            return stored

        stored = await self._patience.insist(publish) if records else []
        self._claims.events_seen = max([before, *[answer.sequence for answer in stored]])

    async def _unstated(self, records: Sequence[Record], before: int) -> list[Record]:
        """Those whose facts did not reach EVENTS in publishes that were never answered."""
        stated: set[str] = set()
        async for event in self._bus.read(streams.EVENTS.name, subjects.EVENTS, from_sequence=before + 1):
            stated.add(event.id)
        return [record for record in records if record.message.id not in stated]

    async def _contradict_doubts(self, records: Sequence[Record], stored: Sequence[Stored]) -> None:
        """Where somebody stated a doubt while our hold had lapsed, an acceptance resolves it."""
        if not any(answer.duplicate for answer in stored):
            return
        late = {
            answer.sequence: fact
            for record, answer in zip(records, stored, strict=True)
            if answer.duplicate and isinstance(fact := record.fact, EmailAccepted)
        }
        said = await read_at(self._bus, streams.EVENTS.name, subjects.EVENTS, late)
        evidence = [
            outcomes.late_message(late[sequence])
            for sequence, event in said.items()
            if isinstance(facts.decode(event.payload), EmailInDoubt)
        ]
        if evidence:
            await self._bus.publish(streams.EVENTS.name, evidence)


def _is_dead_address(fact: MailFact) -> bool:
    return isinstance(fact, EmailBounced) and fact.suppress


def _must_be_left(record: Record, now: float) -> bool:
    """Whether another worker may decide on the next try of a mail: under `at_least_once`, once our hold has lapsed.

    Then a mail that we would retry is left unacknowledged, and whoever gets it states the doubt and schedules the retry, once.
    """
    held = record.held
    return held.lane.campaign.policy == "at_least_once" and held.lapsed(now)
