"""Puts mails back that were given up or are in doubt: what `jetpost dlq replay` and `jetpost doubts resend` do.

Each goes through these steps. However many people do it at once, and wherever they die, the mail is queued once:

    park      its next attempt is stored in MAIL under a subject of its own, due at a moment that never comes, and only if
              nothing lies under that subject
    reopen    the campaign runs (again) and its lanes exist; whoever was about to finish it notices
    take      the dead letter is deleted: of many who try, one succeeds, and the others take back what they parked
    state     `EmailRequeued`: the ledger shows the mail as retrying
    release   the parked mail is replaced by one that is due; only while it is still parked, so once

Who dies in between leaves a parked mail, and `settle` goes on with it. Where its letter is gone, somebody may have released
it before, or another copy of it: the lanes and EVENTS tell.

A mail that is put back keeps its history and gets a fresh allowance of retries; its clock starts anew. Senders look at the
campaign's deadline, and at whatever else they admit mails by, as they do with every mail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from events import campaigns, dead_letters, facts, schemas, states, stories, streams, subjects
from events.bus import Bus, Message
from events.campaigns import WrongStatus
from events.dead_letters import DeadLetter, Letter
from events.facts import EmailRequeued, MailFact
from events.schemas import Mail

T = TypeVar("T")

PARKED_UNTIL: Final = 4_102_444_800.0
"""The year 2100: the due time that marks a mail as parked."""

REQUEUED: Final = "requeued"
"""Stands in the subject of a mail that was put back where others have the class of their failure."""

IN_DOUBT: Final = "in_doubt"
"""The class of a try in a mail's history that may have been delivered."""

NOT_SENT: Final = "not_sent"
"""The class of a try that was in doubt and certainly was not delivered."""

Verdict: TypeAlias = Literal["given_up", "in_doubt", "moved_on", "unsettled"]
"""Whether a dead letter still says how things are: the mail is given up or in doubt; something happened to it since; or the
sender that wrote the letter has not stated it yet."""


class Pace(NamedTuple):
    """When mails that are put back become due."""

    clock: Callable[[], float]
    per_second: float | None = None
    """None: all at once."""

    def due(self, number: int) -> float:
        """Unix seconds for the `number`th mail, from 0."""
        return self.clock() if self.per_second is None else self.clock() + number / self.per_second


class Settled(NamedTuple):
    released: int
    """Mails that are on their way."""
    dropped: int
    """Mails that turned out to be on their way already, or through."""


class _Parked(NamedTuple):
    sequence: int
    subject: str
    mail: Mail

    @property
    def key(self) -> tuple[str, int]:
        return self.mail.mail_id, self.mail.attempt


def verdict(letter: DeadLetter, fact: MailFact | None) -> Verdict:
    """What a letter is worth, given the fact that stands for its mail."""
    attempt = letter.mail.attempt
    if fact is None or fact.attempt < attempt:
        return "unsettled"
    if fact.attempt > attempt:
        return "moved_on"
    match states.state_of(fact):
        case "failed":
            return "given_up"
        case "in_doubt":
            return "in_doubt"
        case "requeued":
            return "unsettled"
        case _:
            return "moved_on"


def again(letter: DeadLetter, now: float, *, certainly_not_sent: bool) -> Mail:
    """The next attempt of a mail that was given up, or was in doubt and was found not to have been sent. Pure."""
    history = letter.mail.history
    if certainly_not_sent and history and history[-1].failure_class == IN_DOUBT:
        history = (*history[:-1], msgspec.structs.replace(history[-1], failure_class=NOT_SENT))
    return msgspec.structs.replace(
        letter.mail, attempt=letter.mail.attempt + 1, charged=0, queued_at=now, history=history
    )


async def survey(bus: Bus, campaign: str, letters: Sequence[Letter]) -> dict[Verdict, list[Letter]]:
    """What the letters of one campaign are worth now. Reads its EVENTS: a second or so per million. Raises `RetryLater`."""
    told = await stories.standing(bus, campaign, {letter.letter.mail.mail_id for letter in letters})
    found: dict[Verdict, list[Letter]] = {"given_up": [], "in_doubt": [], "moved_on": [], "unsettled": []}
    for letter in letters:
        found[verdict(letter.letter, told.get(letter.letter.mail.mail_id))].append(letter)
    return found


async def put_back(
    bus: Bus, campaign: str, letters: Sequence[Letter], pace: Pace, *, certainly_not_sent: bool = True
) -> Settled:
    """Put the mails of these letters, all of one campaign, back into their lanes. Call again after it raised or died.

    Raises `CampaignNotFound`, `WrongStatus` where the campaign was cancelled or its deadline has passed, and `RetryLater`.
    """
    _refuse_what_would_be_for_nothing(await campaigns.get(bus, campaign), pace.clock())
    await settle(bus, campaign, pace)
    for part in _parts(letters):
        mails = [again(letter, pace.clock(), certainly_not_sent=certainly_not_sent) for _, letter in part]
        parked = [
            _message(campaign, letter.pool, letter.provider, mail, PARKED_UNTIL)
            for (_, letter), mail in zip(part, mails, strict=True)
        ]
        await bus.replace(streams.MAIL.name, parked, [0] * len(parked))
    return await settle(bus, campaign, pace)


def _refuse_what_would_be_for_nothing(campaign: schemas.Campaign, now: float) -> None:
    campaigns.reopen(campaign)
    if campaign.deadline is not None and now >= campaign.deadline:
        raise WrongStatus(f"The deadline of {campaign.id} has passed: its mails would only expire.")


async def settle(bus: Bus, campaign: str, pace: Pace) -> Settled:
    """Go on with every mail of the campaign that is parked, whoever parked it. Raises as `put_back`."""
    parked = [mail async for mail in _parked(bus, campaign)]
    if not parked:
        return Settled(0, 0)
    await campaigns.reopen_campaign(bus, campaign, pace.clock())
    ours = await _take(bus, parked, await _letters(bus, campaign, {(mail, n - 1) for mail, n in map(_key, parked)}))
    others = [one for one in parked if one.key not in ours]
    adopted = await _unreleased(bus, campaign, others)
    done = [one.sequence for one in others if one.key not in adopted]
    await bus.delete(streams.MAIL.name, done)
    chosen = [one for one in parked if one.key in ours or one.key in adopted]
    return Settled(await _release(bus, campaign, chosen, pace), len(done))


async def _parked(bus: Bus, campaign: str) -> AsyncIterator[_Parked]:
    filter_subject = subjects.mail_waiting_where(campaign, failure_class=REQUEUED)
    async for record in bus.read(streams.MAIL.name, filter_subject):
        if record.due_at == PARKED_UNTIL:
            yield _Parked(record.sequence, record.subject, schemas.decode_mail(record.payload))


def _key(parked: _Parked) -> tuple[str, int]:
    return parked.key


async def _letters(bus: Bus, campaign: str, tries: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[int]]:
    """Where the letters about these tries lie."""
    found: dict[tuple[str, int], list[int]] = {}
    async for letter in dead_letters.read(bus, subjects.dlq_of_campaign(campaign)):
        if letter.attempt in tries:
            found.setdefault(letter.attempt, []).append(letter.sequence)
    return found


async def _take(
    bus: Bus, parked: Sequence[_Parked], letters: Mapping[tuple[str, int], Sequence[int]]
) -> set[tuple[str, int]]:
    """Delete the letters of parked mails; returns the mails that are ours thereby."""
    owners = {sequence: one.key for one in parked for sequence in letters.get((one.key[0], one.key[1] - 1), ())}
    deleted = await bus.delete(streams.DLQ.name, list(owners))
    return {owner for owner, was_there in zip(owners.values(), deleted, strict=True) if was_there}


async def _unreleased(bus: Bus, campaign: str, parked: Sequence[_Parked]) -> set[tuple[str, int]]:
    """Of mails whose letters are gone those that nobody released: they lie in no lane, and nothing came of the attempt.

    The lanes are read first: what was in one before and is not any more has left its outcome in EVENTS.
    """
    if not parked:
        return set()
    queued = set()
    async for record in bus.read(streams.MAIL.name, subjects.mail_due_of_campaign(campaign)):
        mail = schemas.decode_mail(record.payload)
        queued.add((mail.mail_id, mail.attempt))
    told = await stories.standing(bus, campaign, {one.mail.mail_id for one in parked})
    return {one.key for one in parked if one.key not in queued and not _happened(one.mail, told.get(one.mail.mail_id))}


def _happened(mail: Mail, fact: MailFact | None) -> bool:
    if fact is None or isinstance(fact, EmailRequeued):
        return fact is not None and fact.attempt > mail.attempt
    return fact.attempt >= mail.attempt


async def _release(bus: Bus, campaign: str, parked: Sequence[_Parked], pace: Pace) -> int:
    """State that the mails were put back, and make them due; returns for how many it was us who did."""
    released = 0
    due = [pace.due(number) for number in range(len(parked))]
    for part in _parts(list(zip(parked, due, strict=True))):
        stated = [_requeued(campaign, one, pace.clock()) for one, _ in part]
        await bus.publish(streams.EVENTS.name, stated)
        messages = [_message(campaign, *_lane(one.subject), one.mail, at) for one, at in part]
        places = await bus.replace(streams.MAIL.name, messages, [one.sequence for one, _ in part])
        released += sum(map(bool, places))
    return released


def _requeued(campaign: str, parked: _Parked, now: float) -> Message:
    mail, (pool, provider) = parked.mail, _lane(parked.subject)
    may_repeat = bool(mail.history) and mail.history[-1].failure_class == IN_DOUBT
    reason = "resent, though an earlier try may have been delivered" if may_repeat else "replayed"
    fact = EmailRequeued(campaign, now, *mail_of(mail), pool, provider, reason, may_repeat)
    return Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))


def mail_of(mail: Mail) -> tuple[str, int, str]:
    return mail.mail_id, mail.attempt, mail.recipient


def _message(campaign: str, pool: str, provider: str, mail: Mail, due_at: float) -> Message:
    return Message(
        subjects.mail_waiting(campaign, pool, provider, REQUEUED, mail.mail_id),
        schemas.encode_mail(mail),
        due_at=due_at,
        target=subjects.mail_due(pool, provider, campaign),
    )


def _lane(subject: str) -> tuple[str, str]:
    """Pool and provider, from the subject of a waiting mail."""
    _, _, _, pool, provider, *_ = subject.split(".")
    return pool, provider


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), streams.ATOMIC_BATCH):
        yield items[start : start + streams.ATOMIC_BATCH]
