"""Mails whose attempt somebody claimed before: known, or honestly in doubt.

`in_doubt` is published under the id that the attempt's outcome has. If the server calls it a duplicate, the outcome had been
stated and only the acknowledgement was lost. Where the server has forgotten ids of that age, EVENTS is read instead. The dead
letter, or under `at_least_once` the next try, is published after the fact and never before: first it must be certain that there
is a doubt. It is published before the acknowledgement, so that the mail is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from events import facts, streams, subjects
from events.bus import Bus, Stored
from events.facts import EmailInDoubt, MailFact
from sender import metering, outcomes, retry
from sender.claims import Taken
from sender.journal import Journal, read_at
from sender.lanes import Held
from sender.outcomes import Record
from sender.retry import Random, Rules

_REASON = "a worker died, or lost its hold, between claiming the mail and stating its outcome"


class _Case(NamedTuple):
    record: Record
    known: MailFact | None
    """What EVENTS says of this attempt or a later one."""


class Doubts:
    def __init__(self, bus: Bus, journal: Journal, clock: Callable[[], float], random: Random) -> None:
        self._bus = bus
        self._journal = journal
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
        doubtful = [case.record for case in cases if isinstance(case.known, EmailInDoubt)]
        doubtful += await self._in_doubt(unknown, stored)
        await self._bus.publish(streams.MAIL.name, [record.retry for record in doubtful if record.retry is not None])
        await self._bus.publish(streams.DLQ.name, [record.dead for record in doubtful if record.dead is not None])

    async def _look_up(self, taken: Sequence[tuple[Held, Taken]], rules: Rules) -> list[_Case]:
        old = {one.mail.mail_id: claim.events_before for one, claim in taken if claim.events_before is not None}
        found = await self._journal.last_facts(taken[0][0].lane.campaign.id, old) if old else {}
        now = self._clock()
        return [
            _Case(
                outcomes.to_record(retry.doubt(_REASON, one.mail, rules, now, self._random), one, now),
                found.get(one.mail.mail_id, None),
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
