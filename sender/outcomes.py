"""Decisions as messages: the retry, the dead letter and the fact that a decision says. Pure."""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from events import dead_letters, facts, ids, schemas, subjects, suppression
from events.bus import Message
from events.dead_letters import DeadLetter
from events.facts import (
    EmailAccepted,
    EmailBounced,
    EmailDeferred,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailSuppressed,
    Fact,
    MailFact,
)
from events.schemas import Attempt, Campaign, Mail
from events.suppression import Entry, Hashing
from sender.drivers.base import Accepted, Reply
from sender.lanes import Held
from sender.retry import Bounce, Decision, Done, Doubt, Expire, GiveUp, RetryAt, Suppress

IN_DOUBT: Final = "in_doubt"
"""Stands in a mail's history, in the subject of its waiting retry, and as the class of its dead letter, where a try may have
been delivered."""

REPLY_CHARACTERS: Final = 500
"""Of a reply's text this much is kept; some servers answer with pages."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """Everything one decision says. Published in this order: a death in between repeats work and never loses a mail.

    What is in doubt is kept in the DLQ, unless it is tried again anyway: somebody may find out what became of it.
    """

    held: Held
    retry: Message | None
    dead: Message | None
    fact: MailFact
    message: Message
    """The fact, for EVENTS."""


def accepted(held: Held, outcome: Accepted) -> Record:
    """The record of what becomes of nearly every mail, on the shortest way: the same as `to_record` makes of it."""
    mail, lane, reply, at = held.mail, held.lane, outcome.reply, outcome.at
    fact = EmailAccepted(
        lane.campaign.id,
        at,
        mail.mail_id,
        mail.attempt,
        mail.recipient,
        held.pool,
        lane.provider,
        max(0.0, at - due_since(mail, lane.campaign)),
        reply.code,
        reply.enhanced,
        reply.text[:REPLY_CHARACTERS],
    )
    message = Message(lane.accepted_subject, facts.encode(fact), f"{held.attempt_id}/outcome")
    return Record(held, None, None, fact, message)


def due_since(mail: Mail, campaign: Campaign) -> float:
    """From when the mail might have been sent, Unix seconds: it was queued, and its campaign was let go."""
    started = campaign.started_at
    return mail.queued_at if started is None or started < mail.queued_at else started


def to_record(decision: Decision, held: Held, now: float) -> Record:
    """What to publish for a try that was decided at `now`, Unix seconds."""
    fact = to_fact(decision, held, now)
    retry = dead = None
    match decision:
        case RetryAt(at, failure_class, charged, reply):
            retry = retry_message(held, at, charged, _attempt(held.mail, now, failure_class, reply))
        case Doubt(reason, at, charged) if at is not None:
            retry = retry_message(held, at, charged, _attempt(held.mail, now, IN_DOUBT, Reply(0, "", reason)))
        case Doubt(reason):
            dead = _dead_message(IN_DOUBT, IN_DOUBT, Reply(0, "", reason), held, now)
        case GiveUp(failure_class, why, reply):
            dead = _dead_message(failure_class, why, reply, held, now)
        case Done() | Bounce() | Suppress() | Expire():
            pass
        case _:
            assert_never(decision)
    return Record(held, retry, dead, fact, fact_message(fact))


def suppression_message(record: Record, hashing: Hashing) -> Message:
    """Nobody mails the address again; one entry for each try, however often it is published."""
    fact = record.fact
    entry = Entry(fact.recipient, "hard_bounce", fact.at, f"campaign {fact.campaign}")
    return suppression.message_of(entry, hashing)._replace(id=f"{record.held.attempt_id}/suppression")


def fact_message(fact: Fact) -> Message:
    return Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))


def late_message(fact: EmailAccepted) -> Message:
    """The fact under a second id: evidence that comes after the same attempt was stated to be in doubt."""
    late = msgspec.structs.replace(fact, late=True)
    return fact_message(late)._replace(id=f"{facts.id_of(late)}/late")


def to_fact(decision: Decision, held: Held, now: float) -> MailFact:
    mail, lane = held.mail, held.lane
    common = (lane.campaign.id, now, mail.mail_id, mail.attempt, mail.recipient, held.pool, lane.provider)
    fact: MailFact
    match decision:
        case Done(reply, at):
            who = (lane.campaign.id, at, *common[2:])
            fact = EmailAccepted(
                *who, max(0.0, at - due_since(mail, lane.campaign)), reply.code, reply.enhanced, _text(reply)
            )
        case RetryAt(at, failure_class, _, reply):
            fact = EmailDeferred(*common, failure_class, reply.code, reply.enhanced, _text(reply), at)
        case Bounce(failure_class, reply, suppress):
            fact = EmailBounced(*common, failure_class, reply.code, reply.enhanced, _text(reply), suppress)
        case GiveUp(failure_class, _, reply):
            fact = EmailFailed(*common, failure_class, reply.code, reply.enhanced, _text(reply))
        case Suppress(reason):
            fact = EmailSuppressed(*common, reason)
        case Expire():
            fact = EmailExpired(*common)
        case Doubt(reason):
            fact = EmailInDoubt(*common, reason)
        case _:
            assert_never(decision)
    return fact


def retry_message(held: Held, at: float, charged: int, attempt: Attempt) -> Message:
    """The mail's next attempt, waiting under a subject of its own until it is due (ADR-51)."""
    mail, lane = held.mail, held.lane
    again = msgspec.structs.replace(mail, attempt=mail.attempt + 1, charged=charged, history=(*mail.history, attempt))
    waiting = subjects.mail_waiting(lane.campaign.id, lane.home, lane.provider, attempt.failure_class, mail.mail_id)
    return Message(
        waiting,
        schemas.encode_mail(again),
        ids.attempt_id(again.mail_id, again.attempt),
        due_at=at,
        target=subjects.mail_due(lane.home, lane.provider, lane.campaign.id),
    )


def _dead_message(failure_class: str, reason: str, reply: Reply, held: Held, now: float) -> Message:
    lane = held.lane
    last = _attempt(held.mail, now, failure_class, reply)
    letter = DeadLetter(
        campaign=lane.campaign.id,
        pool=lane.home,
        provider=lane.provider,
        mail=msgspec.structs.replace(held.mail, history=(*held.mail.history, last)),
        failure_class=failure_class,
        reason=reason,
        code=reply.code,
        enhanced=reply.enhanced,
        reply=_text(reply),
        at=now,
    )
    return Message(dead_letters.subject_of(letter), dead_letters.encode(letter), dead_letters.id_of(letter))


def _attempt(mail: Mail, at: float, failure_class: str, reply: Reply) -> Attempt:
    return Attempt(mail.attempt, at, failure_class, reply.code, reply.enhanced, _text(reply))


def _text(reply: Reply) -> str:
    return reply.text[:REPLY_CHARACTERS]
