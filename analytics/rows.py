"""From facts to the columns of ClickHouse's tables (`clickhouse/tables.py`). Pure.

Nothing is lost: what cannot be read, or would not fit its column, becomes a rejected row with its bytes and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, assert_never

import msgspec

from analytics import replies
from analytics.clickhouse import tables
from events import facts
from events.facts import (
    BatchPlanned,
    BatchQueued,
    BreakerClosed,
    BreakerOpened,
    CampaignClosed,
    CampaignFact,
    CampaignPlanned,
    CampaignReopened,
    CampaignStarted,
    DoubtResolved,
    EmailAccepted,
    EmailBounced,
    EmailClicked,
    EmailComplained,
    EmailDeferred,
    EmailDelivered,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailOpened,
    EmailRequeued,
    EmailResubscribed,
    EmailReturned,
    EmailSuppressed,
    EmailUnsubscribed,
    MailFact,
    Reaction,
    SendingStarted,
    TrackingChanged,
)

Row: TypeAlias = tuple[Any, ...]

_LAST_MOMENT: Final = 4_102_444_800.0
"""The year 2100: a time above is no time."""
_LONGEST_LATENCY_SECONDS: Final = 1e9
_UINT16: Final = 65_535
_UINT64: Final = 18_446_744_073_709_551_615

_Answer: TypeAlias = tuple[str, int, str, str, str]
"""Class of failure, code, enhanced code, reply, pattern of the reply."""
_NO_ANSWER: Final[_Answer] = ("", 0, "", "", "")

UNKNOWN_SECONDS: Final = -1.0
"""In `after_seconds` of a reaction: it is not known when its mail was accepted."""

_ACCEPTED: Final = "accepted"
_LATE: Final = "late"
"""Stands where a class of failure would, at an acceptance that resolves a doubt."""
_COUNTS: Final = tuple(name for name, kind in tables.CAMPAIGN_FACTS.schema[1:] if kind == "UInt64")
"""The columns of campaign facts after the words."""


class Stated(Protocol):
    """A message of EVENTS: a delivery or a record."""

    @property
    def payload(self) -> bytes: ...
    @property
    def subject(self) -> str: ...
    @property
    def sequence(self) -> int: ...


class Rows(NamedTuple):
    """What to insert into each table, as columns; an empty list where there is nothing."""

    events: Sequence[Sequence[Any]]
    campaign_facts: Sequence[Sequence[Any]]
    rejected_events: Sequence[Sequence[Any]]
    reactions: Sequence[Sequence[Any]]


def to_rows(messages: Iterable[Stated]) -> Rows:
    """The rows of a table have no order: those of accepted mails come last.

    Nearly all facts are accepted mails, so their columns are made field by field, at a third of the cost of rows. They hold
    what `mail_row` says of each mail; where one of them is unusual, rows are made of all.
    """
    messages = list(messages)
    try:
        stated = [facts.decode(message.payload) for message in messages]
    except (msgspec.DecodeError, ValueError):
        return _row_by_row(messages)
    accepted = [fact for fact in stated if type(fact) is EmailAccepted]
    if not accepted or not _fit(accepted):
        return _row_by_row(messages)
    told = list(zip(messages, stated, strict=True))
    rest = _row_by_row([message for message, fact in told if type(fact) is not EmailAccepted])
    columns = _accepted_columns([message.sequence for message, fact in told if type(fact) is EmailAccepted], accepted)
    return rest._replace(
        events=[[*rows, *more] for rows, more in zip(rest.events or [()] * len(columns), columns, strict=True)]
    )


def _row_by_row(messages: Iterable[Stated]) -> Rows:
    events: list[Row] = []
    campaign_facts: list[Row] = []
    rejected: list[Row] = []
    reactions: list[Row] = []
    for message in messages:
        try:
            fact = facts.decode(message.payload)
            if isinstance(fact, CampaignFact):
                campaign_facts.append(campaign_row(message.sequence, fact))
            elif isinstance(fact, Reaction):
                reactions.append(reaction_row(message.sequence, fact))
            else:
                events.append(mail_row(message.sequence, fact))
        except (msgspec.DecodeError, ValueError) as error:
            rejected.append((message.sequence, message.subject, bytes(message.payload), str(error)))
    return Rows(*(list(zip(*rows, strict=True)) for rows in (events, campaign_facts, rejected, reactions)))


def _fit(accepted: Sequence[EmailAccepted]) -> bool:
    """Whether `mail_row` takes the fields of all of them as they are. NaN is within no bounds."""
    return (
        not any(fact.late for fact in accepted)
        and all(0 <= fact.attempt <= _UINT16 and 0 <= fact.code <= _UINT16 for fact in accepted)
        and all(0.0 <= fact.at <= _LAST_MOMENT for fact in accepted)
        and all(0.0 <= fact.latency_seconds <= _LONGEST_LATENCY_SECONDS for fact in accepted)
    )


def _accepted_columns(sequences: list[int], accepted: Sequence[EmailAccepted]) -> list[Sequence[Any]]:
    """In the order of `tables.EVENTS`."""
    count = len(accepted)
    empty = ("",) * count
    return [
        sequences,
        [fact.campaign for fact in accepted],
        [fact.mail_id for fact in accepted],
        [fact.attempt for fact in accepted],
        (_ACCEPTED,) * count,
        [round(fact.at * 1_000) for fact in accepted],
        [fact.recipient for fact in accepted],
        [fact.pool for fact in accepted],
        [fact.provider for fact in accepted],
        empty,
        [fact.code for fact in accepted],
        [fact.enhanced for fact in accepted],
        [fact.reply for fact in accepted],
        empty,
        [fact.latency_seconds for fact in accepted],
        (0,) * count,
    ]


def mail_row(sequence: int, fact: MailFact) -> Row:
    """A row of `tables.EVENTS`. Raises `ValueError` for what would not fit."""
    latency = retry_at = 0.0
    answer = _NO_ANSWER
    match fact:
        case EmailAccepted():
            late = _LATE if fact.late else ""
            answer, latency = (late, fact.code, fact.enhanced, fact.reply, ""), fact.latency_seconds
        case EmailDeferred():
            answer, retry_at = _answer(fact), fact.retry_at
        case EmailBounced() | EmailFailed():
            answer = _answer(fact)
        case EmailSuppressed() | EmailInDoubt():
            answer = ("", 0, "", fact.reason, replies.pattern_of(fact.reason))
        case EmailRequeued():
            answer = ("in_doubt" if fact.may_repeat else "", 0, "", fact.reason, "")
        case DoubtResolved():
            answer = (fact.resolution, 0, "", f"{fact.by}: {fact.note}" if fact.note else fact.by, "")
        case EmailExpired():
            pass
        case _:
            assert_never(fact)
    return _mail(sequence, fact, answer, latency, retry_at)


def campaign_row(sequence: int, fact: CampaignFact) -> Row:
    """A row of `tables.CAMPAIGN_FACTS`. Raises `ValueError` for what would not fit."""
    told: dict[str, Any]
    match fact:
        case CampaignStarted():
            told = {"name": fact.name, "pool": fact.pool}
        case BatchPlanned():
            told = {"batch": fact.batch, "planned": fact.planned}
        case CampaignPlanned():
            told = {
                "planned": fact.planned,
                "batches": fact.batches,
                "duplicates": fact.duplicates,
                "rejected": fact.rejected,
            }
        case BatchQueued():
            told = {
                "batch": fact.batch,
                "queued": fact.queued,
                "failed": fact.failed,
                "suppressed": fact.suppressed,
                "raw_bytes": fact.raw_bytes,
                "queued_bytes": fact.queued_bytes,
            }
        case CampaignClosed():
            told = {"status": fact.status, "batch": fact.reopened, "cancelled": fact.cancelled}
        case CampaignReopened():
            told = {"batch": fact.reopened}
        case SendingStarted():
            told = {}
        case BreakerOpened():
            told = {"name": fact.provider, "pool": fact.pool, "status": fact.cause, "batch": fact.number}
            told |= {"failed": fact.bad, "queued": fact.mails}
        case BreakerClosed():
            told = {"name": fact.provider, "pool": fact.pool, "status": fact.by, "batch": fact.number}
        case _:
            assert_never(fact)
    return _campaign(sequence, fact, **told)


def reaction_row(sequence: int, fact: Reaction) -> Row:
    """A row of `tables.REACTIONS`. Raises `ValueError` for what would not fit."""
    match fact:
        case EmailOpened():
            return _reaction(sequence, fact, machine=fact.machine, detail=fact.client)
        case EmailClicked():
            return _reaction(sequence, fact, machine=fact.machine, link=fact.link, url=fact.url)
        case EmailUnsubscribed() | EmailResubscribed():
            return _reaction(sequence, fact, detail=fact.by)
        case EmailDelivered() | EmailComplained():
            return _reaction(sequence, fact, detail=fact.by)
        case EmailReturned():
            return _reaction(sequence, fact, detail=fact.by, kind=fact.kind, reply=fact.reply)
        case TrackingChanged():
            return _reaction(sequence, fact, detail="allowed" if fact.allowed else "refused")
        case _:
            assert_never(fact)


def _reaction(sequence: int, fact: Reaction, link: int = 0, url: str = "", machine: str = "", **more: str) -> Row:
    if not 0 <= link <= _UINT16:
        raise ValueError(f"link {link} is out of range")
    return (
        sequence,
        fact.campaign,
        fact.mail_id,
        type(fact).__struct_config__.tag,
        _milliseconds(fact.at),
        fact.recipient,
        link,
        url,
        machine,
        more.get("detail", ""),
        UNKNOWN_SECONDS,
        key_of(fact),
        more.get("kind", ""),
        more.get("reply", ""),
    )


def key_of(fact: Reaction) -> int:
    """64 bits of the id by which a fact is known again, when the server has forgotten it."""
    digest = blake2b(facts.id_of(fact).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def _answer(fact: EmailDeferred | EmailBounced | EmailFailed) -> _Answer:
    return fact.failure_class, fact.code, fact.enhanced, fact.reply, replies.pattern_of(fact.reply)


def _mail(sequence: int, fact: MailFact, answer: _Answer, latency: float, retry_at: float) -> Row:
    if not (0 <= fact.attempt <= _UINT16 and 0 <= answer[1] <= _UINT16):
        raise ValueError(f"attempt {fact.attempt} or code {answer[1]} is out of range")
    return (
        sequence,
        fact.campaign,
        fact.mail_id,
        fact.attempt,
        type(fact).__struct_config__.tag,
        _milliseconds(fact.at),
        fact.recipient,
        fact.pool,
        fact.provider,
        *answer,
        # Clocks of two machines differ: a mail may seem to arrive before it left, and counts as at once.
        latency if 0.0 <= latency <= _LONGEST_LATENCY_SECONDS else 0.0,
        _milliseconds(retry_at),
    )


def _campaign(
    sequence: int, fact: CampaignFact, name: str = "", pool: str = "", status: str = "", **counts: int
) -> Row:
    """The counts that a fact does not state are 0."""
    values = [counts.get(column, 0) for column in _COUNTS]
    if not all(0 <= value <= _UINT64 for value in values):
        raise ValueError(f"a count is out of range: {counts}")
    kind = type(fact).__struct_config__.tag
    return (sequence, fact.campaign, kind, _milliseconds(fact.at), name, pool, status, *values)


def _milliseconds(at: float) -> int:
    if not 0.0 <= at <= _LAST_MOMENT:
        raise ValueError(f"{at} is no time in Unix seconds")
    return round(at * 1_000)
