"""What work looks like on the bus: campaigns, batches, mails.

Everything is a frozen msgspec struct. What exists once per campaign is JSON, for people to read; what exists once per
recipient is a msgpack array, for speed. New fields go last, with defaults, so that a release reads what its neighbours write.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

FailureClass = Literal["transient", "throttled", "soft", "hard", "block"]
"""Why an attempt failed, and so what happens next (docs/decisions/0004-classes-of-failure.md)."""

DeliveryPolicy = Literal["at_most_once", "at_least_once"]
"""What to do with a mail whose fate nobody knows: leave it in doubt, or try again and risk a duplicate."""

CampaignStatus = Literal["planning", "running", "paused", "cancelled", "finished"]

Priority = Literal["urgent", "normal", "low"]
"""Which campaigns go first (docs/decisions/0018-priority-and-schedule.md)."""

PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
"""The highest first."""

PastDue = Literal["hold", "send"]
"""What becomes of a scheduled campaign whose start nobody was there for: hold it and ask, or send it late."""

GRACE_SECONDS: Final = 3_600.0
"""So late a scheduled campaign still counts as on time."""


class CanaryRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many mails of a campaign go first and must look well."""

    share: float = 0.001
    """Of the planned recipients, 0 to 1."""
    minimum: int = 50
    """And at least so many: with less nothing could be said."""
    wait_seconds: float = 900.0
    """For outcomes, after the last of them may go. Greylisting takes 1 to 15 minutes."""


class BreakerLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """When lanes of a campaign are stopped, where its file says otherwise than the settings. Shares, 0 to 1; None: as set."""

    enabled: bool = True
    hard_bounce_rate: float | None = None
    block_rate: float | None = None
    complaint_rate: float | None = None
    minimum_mails: int | None = None


class Tracking(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of their readers' doings a campaign's mails let be counted. Nothing, unless its owner asks."""

    opens: bool = False
    clicks: bool = False

    def __bool__(self) -> bool:
        return self.opens or self.clicks


class Campaign(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every service needs to know of a campaign; lives in the `campaigns` bucket under its id. Times are Unix seconds."""

    id: str
    name: str
    status: CampaignStatus
    pool: str
    return_path: str
    """The envelope sender (RFC 5321 §3.3), where bounces go."""
    created_at: float
    policy: DeliveryPolicy = "at_most_once"
    deadline: float | None = None
    """After this moment mails not yet tried expire instead of being sent; None: never."""
    planned: int | None = None
    """Recipients in all batches; None until the audience was read to its end."""
    batches: int | None = None
    subject: str = ""
    from_header: str = ""
    duplicates: int = 0
    rejected: int = 0
    finished_at: float | None = None
    resume_to: CampaignStatus | None = None
    """Where `resume` leads back to, while paused."""
    reopened: int = 0
    """How often mails that had been given up or were in doubt were put back (`events.requeue`)."""
    priority: Priority = "normal"
    weight: int = 1
    """Its share of the turns among campaigns of the same priority: one of weight 3 sends three mails to the other's one."""
    starts_at: float | None = None
    """Nothing is sent before this moment; None: it starts as soon as its mails are queued."""
    started_at: float | None = None
    """When a scheduled campaign was let go."""
    start_stated: bool = False
    """Whether EVENTS has the fact `SendingStarted`."""
    past_due: PastDue = "hold"
    grace_seconds: float = GRACE_SECONDS
    """So late after `starts_at` it starts all the same; `past_due` says what happens later."""
    pause_reason: str = ""
    """Why the system paused it, in a word, such as `past_due`; empty: it is not paused, or a person did it."""
    pause_note: str = ""
    """The same for people: what happened, and what to do."""
    routes: dict[str, tuple[str, ...]] = {}
    """By mailbox provider the pools that its mails go through, the preferred one first; where it has no entry: `pool`."""
    canary: CanaryRule | None = None
    """None: no mail waits for others."""
    breaker: BreakerLimits = BreakerLimits()
    tracking: Tracking = Tracking()
    list: str = ""
    """Whose subscribers it goes to: whoever is suppressed on this list, or on all, gets no mail of it; empty: none."""
    rate: float | None = None
    """Mails per second that all senders together send of it; None: as fast as its pools allow."""

    def pools_for(self, provider: str) -> tuple[str, ...]:
        """The pools for mails to this mailbox provider, the preferred one first."""
        return self.routes.get(provider) or (self.pool,)

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for its start: nothing of it is sent, whatever its status."""
        return self.starts_at is not None and self.started_at is None


class BatchJob(msgspec.Struct, frozen=True, array_like=True):
    """Up to 50,000 recipients waiting to be rendered and queued; the recipients lie in the blob `recipients`."""

    campaign: str
    number: int
    """From 1, in the order of the audience."""
    planned: int
    recipients: str
    """Name of the blob."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """How one try ended; the history that a mail carries with it."""

    number: int
    at: float
    failure_class: str
    code: int
    enhanced: str
    reply: str


class Mail(msgspec.Struct, frozen=True, array_like=True):
    """One rendered mail to one recipient, as it lies in the queue."""

    mail_id: str
    recipient: str
    """The address for RCPT TO, its domain in ASCII form where IDNA has one."""
    attempt: int
    """Which try this will be, from 1."""
    queued_at: float
    """When the mail was first queued, Unix seconds."""
    body: bytes
    """The complete RFC 5322 message, one zstd frame with the campaign's dictionary."""
    smtputf8: bool = False
    """The address or a header needs SMTPUTF8 (RFC 6531)."""
    charged: int = 0
    """How many earlier tries count against the retry limit: all but the throttled ones."""
    history: tuple[Attempt, ...] = ()


encode_mail = msgspec.msgpack.Encoder().encode
decode_mail = msgspec.msgpack.Decoder(Mail).decode
encode_batch = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(BatchJob).decode
encode_campaign = msgspec.json.Encoder().encode
decode_campaign = msgspec.json.Decoder(Campaign).decode
