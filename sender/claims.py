"""The claim: the right to make an attempt, which only one worker ever gets.

A claim is a message with the attempt's id; the server's duplicate check is the arbiter. It forgets ids after
`streams.DEDUPLICATION_SECONDS`, and a mail may come again later than that (every sender was down, or the lane was paused). So
a claim that the server calls new is believed only where that proves something:

- the mail was never delivered before (`deliveries` is 1), and its hold is good, so that nobody else can have been given it,
  unless it is among the newest claims of before the connection was lost: a killed server forgets what it delivered last; or
- the mail is so young that any claim on it would still be remembered; or
- the journal, which keeps claims for weeks and many to a message, has no other claim of the attempt.

Whatever is not proven is `Taken`. Context and costs: docs/decisions/0003-claims.md.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from events import streams, subjects
from events.bus import Bus, Message, Record, Stored
from events.schemas import Mail
from sender.journal import Entry, Journal, Question, message, read_at
from sender.lanes import Held
from sender.patience import Patience
from sender.rounds import Rounds


class Won(NamedTuple):
    """The attempt is ours to make."""


class Taken(NamedTuple):
    """Somebody claimed the attempt before, or it cannot be ruled out."""

    events_before: int | None
    """Its outcome, if it has one, lies in EVENTS behind this sequence; None: it is so young that the server knows its id."""


class _Unproven(NamedTuple):
    """The server's answer alone does not tell."""

    duplicate: bool
    round: bytes


Claim: TypeAlias = Won | Taken

WON: Final = Won()


class Claims:
    """Claims attempts, one publish at a time for everybody who is waiting. Waits while NATS is away."""

    def __init__(self, bus: Bus, journal: Journal, clock: Callable[[], float], patience: Patience) -> None:
        self._bus = bus
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._rounds: Rounds[Held, Claim | _Unproven] = Rounds(self._claim_together)
        self._interruptions: int | None = None
        """How many there had been when the newest claims were looked up; None: never yet."""
        self._newest: set[str] = set()
        """Attempts that were claimed shortly before the server may have been killed."""
        self.events_seen = 0
        """The newest sequence of EVENTS that this process knows of; the recorder moves it on."""

    async def claim(self, held: Sequence[Held]) -> list[Claim]:
        """An answer for each mail of one lane; claims are stored when this returns. Holds may lapse meanwhile: check after."""
        answers = await self._rounds.do(held)
        if answers.count(WON) == len(answers):
            return list(answers)  # type: ignore[arg-type]
        unproven = [(one, answer) for one, answer in zip(held, answers, strict=True) if isinstance(answer, _Unproven)]
        proofs = iter(await self._prove(unproven) if unproven else ())
        return [next(proofs) if isinstance(answer, _Unproven) else answer for answer in answers]

    async def close(self) -> None:
        await self._rounds.close()

    async def _claim_together(self, held: list[Held]) -> list[Claim | _Unproven]:
        await self._look_up_newest()
        claim_round = os.urandom(6)
        claims = [
            Message(subjects.CLAIMS, claim_round + number.to_bytes(4, "big"), one.attempt_id)
            for number, one in enumerate(held)
        ]
        entries = _journal_entries(held, claim_round, self.events_seen)
        stored, _ = await asyncio.gather(
            self._patience.insist(lambda: self._bus.publish(streams.CLAIMS.name, claims)),
            self._patience.insist(lambda: self._bus.publish(streams.JOURNAL.name, entries)),
        )
        await self._look_up_newest()  # in case the connection was lost while we claimed
        duplicates = {answer.sequence for answer in stored if answer.duplicate}
        originals = await self._patience.insist(
            lambda: read_at(self._bus, streams.CLAIMS.name, subjects.CLAIMS, duplicates)
        )
        now, newest = self._clock(), self._newest
        return [
            WON
            if not answer.duplicate and one.delivery.deliveries == 1 and one.attempt_id not in newest
            else self._judge(one, answer, originals.get(answer.sequence), claim.payload, now)
            for one, answer, claim in zip(held, stored, claims, strict=True)
        ]

    async def _look_up_newest(self) -> None:
        """A server that was killed forgets its newest deliveries, so that of their mails `deliveries` proves nothing."""
        interruptions = self._bus.interruptions
        if interruptions != self._interruptions:
            self._newest |= await self._patience.insist(self._journal.newest)
            self._interruptions = interruptions

    def _judge(
        self, held: Held, answer: Stored, original: Record | None, payload: bytes, now: float
    ) -> Claim | _Unproven:
        """What the answer says of a mail that may have been delivered before, or whose id is a duplicate."""
        remembered = self._bus.timing.remembered_seconds
        unproven = _Unproven(answer.duplicate, payload[:6])
        if not answer.duplicate:
            return WON if now - claimable_from(held.mail) < remembered else unproven
        if original is None:
            return unproven
        if original.payload == payload:  # our own claim, whose answer was lost
            return WON
        return Taken(None) if now - original.stored_at < remembered else unproven

    async def _prove(self, unproven: Sequence[tuple[Held, _Unproven]]) -> list[Claim]:
        campaign = unproven[0][0].lane.campaign.id
        questions = [Question(one.attempt_id, answer.round) for one, answer in unproven]
        others = await self._patience.insist(lambda: self._journal.claimed_before(campaign, questions))
        now = self._clock()
        return [
            WON if other is None and not answer.duplicate and _in_journal(one.mail, now) else Taken(other or 0)
            for (one, answer), other in zip(unproven, others, strict=True)
        ]


def _journal_entries(held: Sequence[Held], claim_round: bytes, events_seen: int) -> list[Message]:
    by_campaign: dict[str, list[str]] = {}
    for one in held:
        by_campaign.setdefault(one.lane.campaign.id, []).append(one.attempt_id)
    return [
        message(campaign, Entry(claim_round, events_seen, tuple(attempts)))
        for campaign, attempts in by_campaign.items()
    ]


def claimable_from(mail: Mail) -> float:
    """Before this moment, Unix seconds, nobody can have claimed the mail's present attempt."""
    return mail.history[-1].at if mail.history else mail.queued_at


def _in_journal(mail: Mail, now: float) -> bool:
    """Whether the journal reaches back far enough to hold every claim of the attempt."""
    return now - claimable_from(mail) < streams.JOURNAL.max_age_seconds
