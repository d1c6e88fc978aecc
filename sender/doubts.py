"""Mails whose attempt somebody claimed before: known, or honestly in doubt.

`in_doubt` is published under the id that the attempt's outcome has. If the server calls it a duplicate, the outcome had been
stated and only the acknowledgement was lost. Where the server has forgotten ids of that age, EVENTS is read instead. The dead
letter, or under `at_least_once` the next try, is published after the fact and never before: first it must be certain that there
is a doubt. It is published before the acknowledgement, so that the mail is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from events import facts, stories, streams, subjects
from events.bus import Bus, Stored
from events.facts import EmailInDoubt, EmailRequeued, MailFact
from events.schemas import Mail
from sender import metering, outcomes, retry
from sender.claims import Taken
from sender.journal import read_at
from sender.lanes import Held
from sender.outcomes import Record
from sender.retry import Random, Rules

_REASON = "a worker died, or lost its hold, between claiming the mail and stating its outcome"


class _Case(NamedTuple):
    record: Record
    known: MailFact | None
    """What EVENTS says of this attempt or a later one."""


class Doubts:
    def __init__(self, bus: Bus, clock: Callable[[], float], random: Random) -> None:
        self._bus = bus
        self._clock = clock
        self._random = random

    async def state(self, taken: Sequence[tuple[Held, Taken]], rules: Rules) -> None:
        """State what is in doubt among mails of one lane; they may be acknowledged afterwards.

        Raises `RetryLater`, and then nothing may be acknowledged: the mails come again and everything is asked anew.
        """
        cases = await self._look_up(taken, rules)
        unknown = [case.record for case in cases if case.known is None]
        stored = await self._bus.publish(streams.EVENTS.name, [record.message for record in unknown])
        metering.count([record.fact for record, answer in zip(unknown, stored, strict=True) if not answer.duplicate])
        doubtful = [case.record for case in cases if _same_doubt(case)]
        doubtful += await self._in_doubt(unknown, stored)
        await self._bus.publish(streams.MAIL.name, [record.retry for record in doubtful if record.retry is not None])
        await self._bus.publish(streams.DLQ.name, [record.dead for record in doubtful if record.dead is not None])

    async def _look_up(self, taken: Sequence[tuple[Held, Taken]], rules: Rules) -> list[_Case]:
        old = {one.mail.mail_id: claim.events_before for one, claim in taken if claim.events_before is not None}
        campaign, start = taken[0][0].lane.campaign.id, min(old.values(), default=0) + 1
        found = await stories.standing(self._bus, campaign, old, from_sequence=start) if old else {}
        now = self._clock()
        return [
            _Case(
                outcomes.to_record(retry.doubt(_REASON, one.mail, rules, now, self._random), one, now),
                _known(one.mail, found.get(one.mail.mail_id)),
            )
            for one, _ in taken
        ]

    async def _in_doubt(self, records: Sequence[Record], stored: Sequence[Stored]) -> list[Record]:
        """Those that EVENTS calls in doubt now, whether we said so or somebody before us."""
        duplicates = {answer.sequence for answer in stored if answer.duplicate}
        said = await read_at(self._bus, streams.EVENTS.name, subjects.EVENTS, duplicates)
        return [
            record
            for record, answer in zip(records, stored, strict=True)
            if not answer.duplicate
            or (answer.sequence in said and isinstance(facts.decode(said[answer.sequence].payload), EmailInDoubt))
        ]


def _known(mail: Mail, standing: MailFact | None) -> MailFact | None:
    """The fact, if it settles the attempt: its outcome, or anything about a later one. Having been put back is no outcome."""
    if standing is None or standing.attempt < mail.attempt:
        return None
    return None if standing.attempt == mail.attempt and isinstance(standing, EmailRequeued) else standing


def _same_doubt(case: _Case) -> bool:
    known = case.known
    return isinstance(known, EmailInDoubt) and known.attempt == case.record.held.mail.attempt
