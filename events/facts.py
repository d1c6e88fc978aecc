"""The one vocabulary of events: facts, in the past tense.

Each is a msgpack array whose first element names its type. The types of mail events are the words the industry uses.
New fields go last, with defaults. `type_of` gives the word that stands in the subject and in ClickHouse.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from events import ids, subjects

Scope: TypeAlias = Literal["list", "all"]
"""What somebody unsubscribes from: one list, or all mail of the sender."""

Resolution: TypeAlias = Literal["accepted", "not_sent"]
"""What became of a doubt: the next server had taken the mail, or never got it."""

Return: TypeAlias = Literal["hard", "soft", "rejected", "listed"]
"""Why an accepted mail did not arrive: the address will never work; the mailbox provider refused it for another reason; the ESP
itself did not try; it did not because it has the address on a suppression list of its own."""


class _Fact(msgspec.Struct, frozen=True, array_like=True):
    campaign: str
    at: float
    """When it happened, Unix seconds."""


class CampaignStarted(_Fact, frozen=True, tag="campaign_started"):
    """A campaign was registered and its audience is being read."""

    name: str
    pool: str


class BatchPlanned(_Fact, frozen=True, tag="batch_planned"):
    """A batch was cut from the audience: from here on its recipients are accounted for."""

    batch: int
    planned: int


class CampaignPlanned(_Fact, frozen=True, tag="campaign_planned"):
    """The audience was read to its end."""

    batches: int
    planned: int
    duplicates: int
    """Rows left out because their address had come before."""
    rejected: int
    """Rows left out because they were unusable."""


class BatchQueued(_Fact, frozen=True, tag="batch_queued"):
    """Every mail of a batch is in the queue, or has an event that says why not."""

    batch: int
    queued: int
    failed: int
    suppressed: int
    raw_bytes: int
    """Bytes of the queued mails as RFC 5322 messages."""
    queued_bytes: int
    """Bytes of the same mails as they lie in the queue."""


class CampaignClosed(_Fact, frozen=True, tag="campaign_closed"):
    """Nothing of the campaign is queued or retrying any more."""

    status: str
    """`finished` or `cancelled`."""
    cancelled: int
    """Recipients that were planned and never tried because the campaign was cancelled."""
    reopened: int = 0
    """How often the campaign had been reopened before: it is closed until it is reopened once more."""


class CampaignReopened(_Fact, frozen=True, tag="campaign_reopened"):
    """Mails of the campaign were put back into the queue: it runs, also if it had finished."""

    reopened: int
    """How often, this time included."""


class SendingStarted(_Fact, frozen=True, tag="sending_started"):
    """A scheduled campaign was let go: from `at` on its mails are sent."""

    scheduled_for: float
    """When it was to start, Unix seconds; `at` is later where it was held, and earlier where somebody started it at once."""


class BreakerOpened(_Fact, frozen=True, tag="breaker_opened"):
    """The circuit breaker stopped a lane of the campaign, or all of them; their mails wait."""

    pool: str
    """Empty, as `provider`, where the whole campaign was stopped."""
    provider: str
    number: int
    """How often this lane was stopped, this time included."""
    cause: str
    """`hard_bounces`, `blocks`, `complaints` or `canary`."""
    bad: int
    mails: int
    """`bad` mails of so many."""
    limit: float
    """The share that is allowed."""
    reason: str
    """For people."""


class BreakerClosed(_Fact, frozen=True, tag="breaker_closed"):
    """A person let a lane go on that the circuit breaker had stopped, or the whole campaign."""

    pool: str
    provider: str
    number: int
    """Of the opening that it ends."""
    by: str = ""
    """How, such as `cli` or `api`."""


class _MailFact(_Fact, frozen=True):
    mail_id: str
    attempt: int
    """The try that it is the outcome of, from 1; 0 where nothing was tried."""
    recipient: str
    pool: str
    provider: str


class EmailAccepted(_MailFact, frozen=True, tag="accepted"):
    """The next server took responsibility for the mail (RFC 5321 §4.2.5)."""

    latency_seconds: float
    """From queued to accepted; from the start of a scheduled campaign, where that came later."""
    code: int = 250
    enhanced: str = ""
    reply: str = ""
    late: bool = False
    """The attempt had been stated to be in doubt before, which this resolves."""


class EmailDeferred(_MailFact, frozen=True, tag="deferred"):
    """The attempt failed; another is scheduled."""

    failure_class: str
    code: int
    enhanced: str
    reply: str
    retry_at: float


class EmailBounced(_MailFact, frozen=True, tag="bounced"):
    """The address or domain will never work: a hard bounce."""

    failure_class: str
    code: int
    enhanced: str
    reply: str
    suppress: bool = False
    """The address was put on the suppression list for it, for all campaigns."""


class EmailFailed(_MailFact, frozen=True, tag="failed"):
    """Given up; the mail lies in the DLQ (or, with attempt 0, could not be rendered)."""

    failure_class: str
    code: int
    enhanced: str
    reply: str


class EmailExpired(_MailFact, frozen=True, tag="expired"):
    """The campaign's deadline passed before the mail could be handed over."""


class EmailSuppressed(_MailFact, frozen=True, tag="suppressed"):
    """The address is on the suppression list; nothing was tried."""

    reason: str


class EmailInDoubt(_MailFact, frozen=True, tag="in_doubt"):
    """A worker died between claiming the mail and stating its outcome: nobody knows whether it was sent (RFC 1047)."""

    reason: str = ""


class EmailRequeued(_MailFact, frozen=True, tag="requeued"):
    """Somebody put a mail back that was given up or in doubt. `attempt` is the try to come, so whatever comes of it stands."""

    reason: str = ""
    may_repeat: bool = False
    """An earlier try may have been delivered: whoever put it back took the risk of a duplicate."""


class DoubtResolved(_MailFact, frozen=True, tag="doubt_resolved"):
    """Evidence, or a person, says what became of a try that was in doubt."""

    resolution: Resolution
    by: str = ""
    """Who says so, such as `cli` or the name of an ESP."""
    note: str = ""
    """The evidence, for people."""


class _Reaction(_Fact, frozen=True):
    """What came of a mail after it was handed over. No outcome: the ledger does not move, whatever it says."""

    mail_id: str
    recipient: str
    """Empty where the source knows the mail only by its id, as links do: they carry nobody's address."""


class EmailDelivered(_Reaction, frozen=True, tag="delivered"):
    """The mailbox provider has it, says whoever handed it on."""

    by: str = ""


class EmailOpened(_Reaction, frozen=True, tag="opened"):
    """The mail's pixel was fetched."""

    machine: str = ""
    """Why it was no person, in a word (`analytics.web.public.visitors`); empty: it may have been one."""
    client: str = ""
    """What fetched it on whose behalf, such as `google-proxy`; empty: nothing of note."""
    known_as: str = ""
    """What an ESP's event is told from others by, and known again; empty: it was seen here."""


class EmailClicked(_Reaction, frozen=True, tag="clicked"):
    """A link of the mail was followed."""

    link: int
    """Its number in the campaign's table (`events.links`), from 1; 0: not one of the table."""
    url: str
    """Where it leads."""
    machine: str = ""
    """As of `EmailOpened`."""
    known_as: str = ""
    """As of `EmailOpened`."""


class EmailUnsubscribed(_Reaction, frozen=True, tag="unsubscribed"):
    """Its reader wants no more of this."""

    scope: Scope
    list: str = ""
    """Which, where the scope is a list."""
    by: str = ""
    """How: `one-click` (RFC 8058), `page`, `mail`, or the name of an ESP."""
    known_as: str = ""
    """As of `EmailOpened`."""


class EmailResubscribed(_Reaction, frozen=True, tag="resubscribed"):
    """Its reader takes an unsubscription back."""

    scope: Scope
    list: str = ""
    by: str = ""
    known_as: str = ""
    """As of `EmailOpened`."""


class EmailComplained(_Reaction, frozen=True, tag="complained"):
    """Its reader called it spam."""

    by: str = ""
    """Who says so: the name of an ESP, or of a feedback loop."""


class EmailReturned(_Reaction, frozen=True, tag="returned"):
    """It was accepted and did not arrive, says whoever had taken it. In the ledger it stays accepted: nobody is counted twice."""

    kind: Return
    by: str = ""
    """Who says so: the name of an ESP, or `bounce` for a mail that came back."""
    suppress: str = ""
    """The reason for which the address gets no mail any more (`events.suppression.Reason`); empty: it does."""
    failure_class: str = ""
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    """As far as it is passed on."""


class TrackingChanged(_Reaction, frozen=True, tag="tracking_changed"):
    """Its reader decided whether their opens and clicks may be counted, in this mail and in others."""

    allowed: bool


MailFact: TypeAlias = (
    EmailAccepted
    | EmailDeferred
    | EmailBounced
    | EmailFailed
    | EmailExpired
    | EmailSuppressed
    | EmailInDoubt
    | EmailRequeued
    | DoubtResolved
)
CampaignFact: TypeAlias = (
    CampaignStarted
    | BatchPlanned
    | CampaignPlanned
    | BatchQueued
    | CampaignClosed
    | CampaignReopened
    | SendingStarted
    | BreakerOpened
    | BreakerClosed
)
Reaction: TypeAlias = (
    EmailDelivered
    | EmailOpened
    | EmailClicked
    | EmailUnsubscribed
    | EmailResubscribed
    | EmailComplained
    | EmailReturned
    | TrackingChanged
)
Fact: TypeAlias = MailFact | CampaignFact | Reaction

MAIL_FACTS: tuple[type[MailFact], ...] = (
    EmailAccepted,
    EmailDeferred,
    EmailBounced,
    EmailFailed,
    EmailExpired,
    EmailSuppressed,
    EmailInDoubt,
    EmailRequeued,
    DoubtResolved,
)

OPENS_COUNTED_APART: Final = 60
"""Seconds. Opens of a mail within the same minute are one: clients and proxies fetch a picture several times."""
CLICKS_COUNTED_APART: Final = 10
"""Seconds: a double click, a browser that fetches ahead."""

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Fact).decode


def decode(payload: bytes) -> Fact:
    """Raises `msgspec.DecodeError` for what is not a fact of this or an earlier release."""
    fact: Fact = _decode(payload)
    return fact


def type_of(fact: Fact) -> str:
    """The word for the fact in subjects, in ClickHouse and on dashboards, such as `accepted`."""
    return str(type(fact).__struct_config__.tag)


def subject_of(fact: Fact) -> str:
    return subjects.event(type_of(fact), fact.campaign)


def id_of(fact: Fact) -> str:  # noqa: PLR0911 - a table of facts
    """The `Nats-Msg-Id` that makes publishing the fact twice harmless."""
    match fact:
        case BatchPlanned() | BatchQueued():
            return f"{fact.campaign}/{fact.batch}/{type_of(fact)}"
        case CampaignStarted() | CampaignPlanned() | SendingStarted():
            return f"{fact.campaign}/{type_of(fact)}"
        case CampaignClosed() | CampaignReopened():
            return f"{fact.campaign}/{fact.reopened}/{type_of(fact)}"
        case BreakerOpened() | BreakerClosed():
            return f"{fact.campaign}/{fact.pool}.{fact.provider}/{fact.number}/{type_of(fact)}"
        case EmailRequeued():
            return f"{ids.attempt_id(fact.mail_id, fact.attempt)}/requeued"
        case DoubtResolved():
            return f"{ids.attempt_id(fact.mail_id, fact.attempt)}/resolved/{fact.resolution}"
        case _MailFact():
            return ids.outcome_id(fact.mail_id, fact.attempt)
        case _:
            return _id_of_reaction(fact)


def _id_of_reaction(fact: Reaction) -> str:
    match fact:
        case EmailDelivered() | EmailComplained():
            which = ""
        case EmailReturned():
            which = fact.kind
        case EmailOpened():
            which = fact.known_as or f"{fact.machine}/{int(fact.at // OPENS_COUNTED_APART)}"
        case EmailClicked():
            which = fact.known_as or f"{fact.link}/{int(fact.at // CLICKS_COUNTED_APART)}"
        case EmailUnsubscribed() | EmailResubscribed():
            which = fact.known_as or f"{fact.scope}/{int(fact.at)}"
        case TrackingChanged():
            which = f"{fact.allowed}/{int(fact.at)}"
        case _:
            assert_never(fact)
    return f"{fact.mail_id}/{type_of(fact)}/{which}"
