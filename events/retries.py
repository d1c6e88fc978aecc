"""Retries that wait for their time: reading them, making them due now, and taking them out. `jetpost retries`.

Both changes replace the waiting message only while it still waits: what becomes due in the same moment is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from events import dead_letters, facts, schemas, streams, subjects
from events.bus import Bus, Message
from events.dead_letters import DeadLetter
from events.facts import EmailFailed, EmailInDoubt, MailFact
from events.requeue import IN_DOUBT, PARKED_UNTIL
from events.schemas import Attempt, Mail

CANCELLED_UNTIL: Final = 4_133_980_800.0
"""The year 2101: the due time that marks a retry as cancelled, until it has been moved to the DLQ."""

CANCELLED: Final = "retry_cancelled"
"""The reason of a dead letter whose next try somebody took out."""


class Waiting(NamedTuple):
    """A mail that waits for its next try."""

    sequence: int
    subject: str
    campaign: str
    pool: str
    provider: str
    failure_class: str
    """Of its last failure; `requeued` where it was put back from the DLQ, `in_doubt` where its last try may have arrived."""
    due_at: float
    """Unix seconds."""
    mail: Mail

    @property
    def parked(self) -> bool:
        """Somebody died while putting it back; `jetpost dlq replay` goes on with it."""
        return self.due_at == PARKED_UNTIL

    @property
    def cancelled(self) -> bool:
        """Somebody died while taking it out; `jetpost retries cancel` goes on with it."""
        return self.due_at == CANCELLED_UNTIL


async def read(bus: Bus, filter_subject: str = subjects.MAIL_WAITING) -> AsyncIterator[Waiting]:
    """What waits, in the order of its scheduling. Raises `RetryLater`."""
    async for record in bus.read(streams.MAIL.name, filter_subject):
        _, _, campaign, pool, provider, failure_class, _ = record.subject.split(".")
        mail = schemas.decode_mail(record.payload)
        due_at = record.stored_at if record.due_at is None else record.due_at
        yield Waiting(record.sequence, record.subject, campaign, pool, provider, failure_class, due_at, mail)


async def hurry(bus: Bus, chosen: Sequence[Waiting], now: float) -> int:
    """Make these due at `now`, Unix seconds; returns how many still waited. Harmless to repeat. Raises `RetryLater`."""
    waiting = [one for one in chosen if not one.parked and not one.cancelled]
    places = await bus.replace(
        streams.MAIL.name, [_message(one, now) for one in waiting], [one.sequence for one in waiting]
    )
    return sum(map(bool, places))


async def cancel(bus: Bus, chosen: Sequence[Waiting], now: float) -> int:
    """Move these to the DLQ; returns how many. Call again after it raised or died: it goes on. Raises `RetryLater`.

    First the mail is given a due time that never comes, and only while it still waits: from then on nobody can be given
    it. Then the letter and the fact are stored, and only then the mail leaves MAIL.
    """
    moved = 0
    for start in range(0, len(chosen), streams.ATOMIC_BATCH):
        part = [one for one in chosen[start : start + streams.ATOMIC_BATCH] if not one.parked]
        stopped = [one for one in part if one.cancelled]
        stopped += [one async for one in _stop(bus, [one for one in part if not one.cancelled])]
        await bus.publish(streams.DLQ.name, [_letter_message(one, now) for one in stopped])
        await bus.publish(streams.EVENTS.name, [_fact_message(one, now) for one in stopped])
        moved += sum(await bus.delete(streams.MAIL.name, [one.sequence for one in stopped]))
    return moved


async def _stop(bus: Bus, waiting: Sequence[Waiting]) -> AsyncIterator[Waiting]:
    messages = [_message(one, CANCELLED_UNTIL) for one in waiting]
    places = await bus.replace(streams.MAIL.name, messages, [one.sequence for one in waiting])
    for one, place in zip(waiting, places, strict=True):
        if place:
            yield one._replace(sequence=place, due_at=CANCELLED_UNTIL)


def letter_of(waiting: Waiting, now: float) -> DeadLetter:
    """The dead letter of a mail whose next try is not to be made; it tells the last failure. Pure."""
    mail, last = waiting.mail, _last(waiting)
    return DeadLetter(
        campaign=waiting.campaign,
        pool=waiting.pool,
        provider=waiting.provider,
        mail=mail,
        failure_class=last.failure_class,
        reason=CANCELLED,
        code=last.code,
        enhanced=last.enhanced,
        reply=last.reply,
        at=now,
    )


def fact_of(waiting: Waiting, now: float) -> MailFact:
    """The fact for a try that is not to be made: given up; or in doubt still, where the try before it was. Pure."""
    mail, last = waiting.mail, _last(waiting)
    who = (waiting.campaign, now, mail.mail_id, mail.attempt, mail.recipient, waiting.pool, waiting.provider)
    if last.failure_class == IN_DOUBT:
        return EmailInDoubt(*who, "an earlier try is in doubt, and the next one was cancelled")
    return EmailFailed(*who, last.failure_class, last.code, last.enhanced, f"retry cancelled; {last.reply}")


def _last(waiting: Waiting) -> Attempt:
    mail = waiting.mail
    never_tried = Attempt(mail.attempt, mail.queued_at, waiting.failure_class, 0, "", "")
    return mail.history[-1] if mail.history else never_tried


def _message(waiting: Waiting, due_at: float) -> Message:
    target = subjects.mail_due(waiting.pool, waiting.provider, waiting.campaign)
    return Message(waiting.subject, schemas.encode_mail(waiting.mail), due_at=due_at, target=target)


def _letter_message(waiting: Waiting, now: float) -> Message:
    letter = letter_of(waiting, now)
    return Message(dead_letters.subject_of(letter), dead_letters.encode(letter), dead_letters.id_of(letter))


def _fact_message(waiting: Waiting, now: float) -> Message:
    fact = fact_of(waiting, now)
    return Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))
