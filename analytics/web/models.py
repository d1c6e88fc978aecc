"""The documents that the API and the live stream speak. Times are Unix seconds, durations seconds, rates per second."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from analytics.engagement import Engagement
from analytics.reports import EventRow, FailureRow, FirstAttempts, Latency, LatencyPoint, ProviderRow, RatePoint, Sizes
from analytics.scaling.decision import Decision
from events.breaker import Stopped
from events.lanes import LaneNow
from events.ledger import Ledger
from events.schemas import CampaignStatus, DeliveryPolicy, Priority, Tracking


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How far to trust the figures beside it."""

    bus: Literal["ok", "unavailable"] = "ok"
    analytics: Literal["live", "behind", "unavailable"] = "live"
    lag_events: int | None = None
    """Events that happened and are not counted yet; null where the bus does not answer."""
    store_used_bytes: int | None = None
    """What JetStream holds; null where the bus does not answer."""
    store_limit_bytes: int | None = None
    """What it may hold; null where it does not say. Above 85 % of it producers wait."""
    message: str = ""
    """What is wrong and what to do, a line for each; empty when all is well."""
    figures_at: float | None = None
    """When the figures were counted; null where there are none."""


class CampaignInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign is, whatever has happened to it so far."""

    id: str
    name: str
    status: CampaignStatus
    pool: str
    """Where its mails queue up; those of a mailbox provider with an entry in `routes` go through other pools."""
    pools: list[str] = []
    """All that its mails may go through, the preferred ones first."""
    routes: dict[str, tuple[str, ...]] = {}
    """By mailbox provider the pools that its mails go through, the preferred one first; where it has no entry: `pool`."""
    policy: DeliveryPolicy = "at_most_once"
    subject: str = ""
    from_header: str = ""
    created_at: float | None = None
    finished_at: float | None = None
    deadline: float | None = None
    planned: int | None = None
    """Recipients in all batches; null until the audience was read to its end."""
    batches: int | None = None
    duplicates: int = 0
    rejected: int = 0
    priority: Priority = "normal"
    weight: int = 1
    """Its share of the turns among campaigns of the same priority."""
    scheduled: bool = False
    """It waits for its start: nothing of it is sent."""
    starts_at: float | None = None
    """When it is to start; null: as soon as its mails are queued."""
    started_at: float | None = None
    """When a scheduled campaign was let go; null: it was not, or never had a start."""
    pause_reason: str = ""
    """Why the system paused it, in a word, such as `past_due`; empty: it is not paused, or a person did it."""
    pause_note: str = ""
    """The same for people: what happened, and what to do."""
    tracking: Tracking = Tracking()
    """What its mails let be counted."""

    def pools_for(self, provider: str) -> tuple[str, ...]:
        """The pools for mails to this mailbox provider, the preferred one first."""
        return self.routes.get(provider) or (self.pool,)


Held: TypeAlias = Literal["", "stopped", "paused"]
"""Mails wait that do not go: the circuit breaker stopped their lane, or their provider asked to pause."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a campaign has come."""

    ledger: Ledger
    balanced: bool
    """Every recipient has exactly one final outcome."""
    consistent: bool
    """The ledger's sum equals the plan, with what is queued and retrying counted in."""
    share_settled: float
    """Of the planned recipients, 0 to 1."""
    rate: float
    """Outcomes per second, now."""
    eta_seconds: float | None
    """Until nothing is queued or retrying at this rate; null where that says nothing: it stands still or has ended, only retries
    are left, or `held` says that mails do not go."""
    held: Held = ""
    held_until: float | None = None
    """When the last pause of `held` ends, as far as the provider has said."""


class LaneDepth(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in one lane's queue."""

    pool: str
    """Where they lie."""
    provider: str
    pools: tuple[str, ...] = ()
    """Through which they go, the preferred one first."""
    held: Held = ""
    held_until: float | None = None
    """When the pause ends, as far as the provider has said."""
    waiting: int
    """Mails that no sender has taken yet."""
    in_flight: int
    """Mails that a sender holds."""


class RateSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes over time, as counts per step; only steps that have been counted to their end."""

    step_seconds: int
    points: list[RatePoint]


class LatencySeries(msgspec.Struct, frozen=True, kw_only=True):
    """From queued to accepted, over time."""

    step_seconds: int
    points: list[LatencyPoint]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What has been counted of a campaign."""

    progress: Progress
    batches_planned: int
    batches_queued: int
    mails_per_second: float
    """First attempts per second, from the campaign's start to the last first attempt, so that waiting retries do not blur it."""
    latency: Latency
    sizes: Sizes
    first_attempts: FirstAttempts


class CampaignCard(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in the overview."""

    campaign: CampaignInfo
    progress: Progress | None
    """Null while analytics cannot answer and never has."""
    sparkline: list[int]
    """Outcomes in equal steps over its life so far, oldest first."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The newest campaigns, at most 100."""

    at: float
    health: Health
    campaigns: list[CampaignCard]
    """The newest first."""
    lanes: list[LaneNow] = []
    """Those that their mailbox provider or a person holds back."""
    scaling: Decision | None = None
    """How many senders are wanted, and why; null while no ingester works that out."""


class CampaignDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign: what it is, how far it has come, and what lies in its queues."""

    at: float
    health: Health
    campaign: CampaignInfo
    figures: Figures | None
    """Null while analytics cannot answer and never has."""
    lanes: list[LaneDepth]


class CampaignReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to say about a campaign, in one document."""

    at: float
    health: Health
    campaign: CampaignInfo
    figures: Figures
    lanes: list[LaneDepth]
    rate: RateSeries
    latency: LatencySeries
    providers: list[ProviderRow]
    failures: list[FailureRow]
    engagement: Engagement


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the live stream of a campaign: its report and its newest events."""

    at: float
    health: Health
    campaign: CampaignInfo
    figures: Figures | None
    lanes: list[LaneDepth]
    rate: RateSeries | None
    latency: LatencySeries | None
    providers: list[ProviderRow]
    failures: list[FailureRow]
    events: list[EventRow]
    engagement: Engagement | None = None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events of mails that match, a page of them."""

    events: list[EventRow]
    """The newest first."""
    before_sequence: int | None
    """Pass it on to see older ones; null where there are none."""


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts by mailbox provider."""

    providers: list[ProviderRow]


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent ways of not being accepted, by attempts."""

    failures: list[FailureRow]


class Doubts(msgspec.Struct, frozen=True, kw_only=True):
    """Mails of which nobody knows whether they were sent."""

    doubts: list[EventRow]
    """The newest first, each as it was stated; `jetpost doubts` resolves them."""


class Breakers(msgspec.Struct, frozen=True, kw_only=True):
    """Lanes that the circuit breaker stopped."""

    stopped: list[Stopped]


class Lanes(msgspec.Struct, frozen=True, kw_only=True):
    """Lanes that their mailbox provider or a person holds back."""

    lanes: list[LaneNow]


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How many senders are wanted."""

    decision: Decision | None
    """Null while no ingester works that out."""


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """Where mails are, recipient by recipient, a page of them."""

    mails: list[tuple[str, int, str]]
    """Mail id, attempt, and the state by the outcome that stands; in the order of the ids."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The campaign as it is after a command."""

    campaign: CampaignInfo
    removed: int | None = None
    """Mails that cancelling took out of the queue."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: str
    """Identifies the kind of problem; stable."""
    title: str
    status: int
    detail: str = ""
    """What happened here and what to do about it."""
    instance: str = ""
    """The path that was asked for."""
