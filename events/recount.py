"""The ledger of a campaign from EVENTS alone, mail by mail: what `jetpost reconcile` holds everything else against.

Of each fact about a mail about 25 bytes are kept, so that ten million mails fit in 300 MB; which of them stand is worked out for
a thirtieth of the mails at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, assert_never, get_args

from events import facts, streams, subjects
from events.bus import Bus
from events.facts import (
    MAIL_FACTS,
    BatchPlanned,
    BatchQueued,
    BreakerClosed,
    BreakerOpened,
    CampaignClosed,
    CampaignFact,
    CampaignPlanned,
    CampaignReopened,
    CampaignStarted,
    Fact,
    MailFact,
    SendingStarted,
)
from events.states import State, rank, state_of

_STATES: Final[tuple[State, ...]] = get_args(State)


class Standing(NamedTuple):
    """Where a mail is, by the fact that stands (`events.states`)."""

    attempt: int
    state: State


class Recount:
    """What was said of one campaign, gathered fact by fact, in any order."""

    def __init__(self) -> None:
        self.last_sequence = 0
        """EVENTS was read up to here."""
        self.closings: dict[int, CampaignClosed] = {}
        """By how often the campaign had been reopened before."""
        self._reopened = 0
        self._batches: dict[int, int] = {}
        self._whole: CampaignPlanned | None = None
        self._parts: dict[str, bytearray] = {}

    def add(self, fact: Fact) -> None:
        if isinstance(fact, MAIL_FACTS):
            self._add(fact)
            return
        if not isinstance(fact, CampaignFact):
            return  # what came of a mail afterwards moves nobody in the ledger
        match fact:
            case BatchPlanned():
                self._batches[fact.batch] = fact.planned
            case CampaignPlanned():
                self._whole = fact
            case CampaignClosed():
                self.closings[fact.reopened] = fact
            case CampaignReopened():
                self._reopened = max(self._reopened, fact.reopened)
            case CampaignStarted() | BatchQueued() | SendingStarted() | BreakerOpened() | BreakerClosed():
                pass
            case _:
                assert_never(fact)

    def _add(self, fact: MailFact) -> None:
        part = self._parts.get(fact.mail_id[:1])
        if part is None:
            part = self._parts[fact.mail_id[:1]] = bytearray()
        part += f"{fact.mail_id} {_code(fact)}\n".encode()

    @property
    def planned(self) -> int:
        return self._whole.planned if self._whole else sum(self._batches.values())

    @property
    def batches(self) -> int:
        """The highest number of a batch; those before it were planned, too."""
        return max(self._batches, default=0)

    @property
    def is_complete(self) -> bool:
        """Whether EVENTS still has every batch: it forgets after a while (`streams.EVENTS`)."""
        return len(self._batches) == self.batches and (self._whole is None or self._whole.batches == self.batches)

    @property
    def closed(self) -> CampaignClosed | None:
        """The closing that holds: the campaign was not reopened since."""
        return self.closings.get(self._reopened)

    @property
    def cancelled(self) -> int:
        return sum(closing.cancelled for closing in self.closings.values())

    @property
    def part_names(self) -> list[str]:
        """First letters of mail ids, sorted."""
        return sorted(self._parts)

    def part(self, name: str) -> dict[str, Standing]:
        """The mails whose ids begin with this letter, by id."""
        best: dict[str, int] = {}
        for line in self._parts.get(name, b"").decode().splitlines():
            mail, _, text = line.partition(" ")
            code = int(text)
            if code > best.get(mail, -1):
                best[mail] = code
        return {mail: _standing(code) for mail, code in best.items()}

    def parts(self) -> Iterator[dict[str, Standing]]:
        """All mails, part by part."""
        return map(self.part, self.part_names)


def _code(fact: MailFact) -> int:
    """Attempt, weight and state as one number, of which the highest stands."""
    attempt, weight = rank(fact)
    return (attempt * 10 + weight) * 10 + _STATES.index(state_of(fact))


def _standing(code: int) -> Standing:
    return Standing(code // 100, _STATES[code % 10])


async def of_campaign(bus: Bus, campaign: str) -> Recount:
    """Everything that EVENTS says of the campaign at this moment: twenty seconds per million events. Raises `RetryLater`."""
    recount = Recount()
    recount.last_sequence = (await bus.stream_state(streams.EVENTS.name)).last_sequence
    async for record in bus.read(streams.EVENTS.name, subjects.events_of_campaign(campaign)):
        if record.sequence > recount.last_sequence:
            break
        recount.add(facts.decode(record.payload))
    return recount
