"""Mails in doubt: which there are, and what becomes of them. `jetpost doubts`, and evidence that comes in from outside.

A mail is in doubt when a try of it was claimed and nobody knows its outcome (RFC 1047). It lies in the DLQ; or, under
`at_least_once`, its next try waits in MAIL. Nothing resends it silently: a person does (`requeue`), or evidence resolves it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from events import dead_letters, facts, schemas, stories, streams, subjects
from events.bus import Bus, Message
from events.dead_letters import Letter
from events.facts import DoubtResolved, EmailInDoubt, MailFact, Resolution
from events.requeue import IN_DOUBT


class Doubt(NamedTuple):
    """A mail in doubt."""

    fact: EmailInDoubt
    letters: tuple[Letter, ...] = ()
    """Where the mail lies in the DLQ; rarely twice, after a crash."""
    waiting: int = 0
    """Under `at_least_once` the sequence in MAIL of its next try, until that is due; else 0."""


async def find(bus: Bus, campaign: str, mails: Collection[str] | None = None) -> list[Doubt]:
    """The mails in doubt of a campaign, all or some, oldest first. Costs little where there never was one.

    Raises `RetryLater`.
    """
    suspects: dict[str, int] = {}
    async for record in bus.read(streams.EVENTS.name, subjects.event(IN_DOUBT, campaign)):
        mail = record.id.partition("/")[0]
        if mails is None or mail in mails:
            suspects.setdefault(mail, record.sequence)
    if not suspects:
        return []
    told = await stories.standing(bus, campaign, suspects, from_sequence=min(suspects.values()))
    doubtful = {mail: fact for mail, fact in told.items() if isinstance(fact, EmailInDoubt)}
    letters = await _letters(bus, campaign, doubtful)
    waiting = await _waiting(bus, campaign, doubtful)
    doubts = [Doubt(fact, tuple(letters.get(mail, ())), waiting.get(mail, 0)) for mail, fact in doubtful.items()]
    return sorted(doubts, key=lambda doubt: (doubt.fact.at, doubt.fact.mail_id))


async def _letters(bus: Bus, campaign: str, doubtful: dict[str, EmailInDoubt]) -> dict[str, list[Letter]]:
    found: dict[str, list[Letter]] = {}
    async for letter in dead_letters.read(bus, subjects.dlq_of_campaign(campaign)):
        mail, attempt = letter.attempt
        if mail in doubtful and doubtful[mail].attempt == attempt:
            found.setdefault(mail, []).append(letter)
    return found


async def _waiting(bus: Bus, campaign: str, doubtful: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    async for record in bus.read(streams.MAIL.name, subjects.mail_waiting_where(campaign, failure_class=IN_DOUBT)):
        mail = schemas.decode_mail(record.payload).mail_id
        if mail in doubtful:
            found[mail] = record.sequence
    return found


def resolution(fact: MailFact | None, evidence: Resolution, *, by: str, note: str, at: float) -> DoubtResolved | None:
    """What evidence at `at` (Unix seconds) says of a mail for which `fact` stands; None where it is not in doubt. Pure."""
    if not isinstance(fact, EmailInDoubt):
        return None
    who = (fact.mail_id, fact.attempt, fact.recipient, fact.pool, fact.provider)
    return DoubtResolved(fact.campaign, at, *who, evidence, by, note)


async def resolve(
    bus: Bus, doubts: Sequence[Doubt], evidence: Resolution, *, by: str, note: str, at: float
) -> list[Doubt]:
    """State what became of these; returns those that were resolved. Harmless to repeat. Raises `RetryLater`.

    Where the next try waits in MAIL it is taken out first; where it has left already the mail is left alone, as it is
    being tried again. A mail that was accepted leaves the DLQ; one that was not sent stays there as given up, and can be
    replayed without risk.
    """
    waiting = [doubt for doubt in doubts if doubt.waiting]
    removed = await bus.delete(streams.MAIL.name, [doubt.waiting for doubt in waiting])
    too_late = {doubt.fact.mail_id for doubt, was_there in zip(waiting, removed, strict=True) if not was_there}
    ours = [doubt for doubt in doubts if doubt.fact.mail_id not in too_late]
    stated = [resolution(doubt.fact, evidence, by=by, note=note, at=at) for doubt in ours]
    messages = [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for fact in stated if fact]
    await bus.publish(streams.EVENTS.name, messages)
    if evidence == "accepted":
        await bus.delete(streams.DLQ.name, [letter.sequence for doubt in ours for letter in doubt.letters])
    return ours
