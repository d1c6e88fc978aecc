"""Which attempts were ever claimed: evidence for when the server has forgotten their ids.

The server remembers message ids for a few minutes (`streams.Timing`); until then a duplicate answers the question at no cost.
After it the journal does, and says where in EVENTS the outcome must lie if there is one. Reading it takes half a second per
million mails of the campaign, and is needed only for mails that outlived a dead worker by minutes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec

from events import streams, subjects
from events.bus import Bus, Message, Record
from sender.rounds import Rounds


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Attempts that one worker claimed together."""

    round: bytes
    """Random; tells the worker's own claims from those of others."""
    events_before: int
    """A sequence of EVENTS from before the claim: the outcomes of these attempts lie behind it."""
    attempts: tuple[str, ...]


_READ_ON: Final = 500

_NEWEST_SECONDS: Final = 60.0
"""Before the newest claim of all. Far longer than a server takes to write down what it delivered, which is tenths of a second."""
_NEWEST_RECORDS: Final = 20_000

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode


class Question(NamedTuple):
    """Was the attempt claimed in any round but this?"""

    attempt: str
    round: bytes


def message(campaign: str, entry: Entry) -> Message:
    """The journal's record of one round's claims in one campaign; publishing it twice is harmless."""
    return Message(subjects.journal(campaign), encode(entry), f"{entry.round.hex()}/{campaign}")


class Journal:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._searches: dict[str, Rounds[Question, int | None]] = {}

    async def claimed_before(self, campaign: str, questions: Sequence[Question]) -> Sequence[int | None]:
        """For each the `events_before` of the first other claim, or None: nobody else ever claimed it. Raises `RetryLater`."""
        search = self._searches.get(campaign)
        if search is None:
            search = self._searches[campaign] = Rounds(lambda asked: self._search(campaign, asked))
        return await search.do(questions)

    async def _search(self, campaign: str, questions: Sequence[Question]) -> list[int | None]:
        wanted = {question.attempt for question in questions}
        claims: dict[str, list[Entry]] = {}
        async for record in self._bus.read(streams.JOURNAL.name, subjects.journal(campaign)):
            entry = decode(record.payload)
            for attempt in wanted.intersection(entry.attempts):
                claims.setdefault(attempt, []).append(entry)
        return [
            next((claim.events_before for claim in claims.get(attempt, ()) if claim.round != own), None)
            for attempt, own in questions
        ]

    async def newest(self) -> set[str]:
        """The attempts that were claimed last, by anybody, in any campaign. Raises `RetryLater`."""
        last = (await self._bus.stream_state(streams.JOURNAL.name)).last_sequence
        first = max(1, last - _NEWEST_RECORDS)
        tail = self._bus.read(streams.JOURNAL.name, subjects.JOURNAL, from_sequence=first)
        records = [(record.stored_at, record.payload) async for record in tail]
        since = records[-1][0] - _NEWEST_SECONDS if records else 0.0
        return {attempt for at, payload in records if at >= since for attempt in decode(payload).attempts}

    async def close(self) -> None:
        for search in self._searches.values():
            await search.close()


async def read_at(bus: Bus, stream: str, filter_subject: str, sequences: Collection[int]) -> dict[int, Record]:
    """The messages at these places of a stream, as far as they are still there. Raises `RetryLater`.

    Places that are asked for together mostly lie together, so each read goes on for a while.
    """
    found: dict[int, Record] = {}
    for sequence in sorted(sequences):
        if sequence in found:
            continue
        async for record in bus.read(stream, filter_subject, from_sequence=sequence):
            if record.sequence in sequences:
                found[record.sequence] = record
            if record.sequence >= sequence + _READ_ON:
                break
    return found
