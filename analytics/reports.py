"""The questions that people ask about campaigns, answered from ClickHouse.

Everything counts from facts alone, so an answer is as old as the ingester's lag. Times are Unix seconds, rates are per
second, and a provider is a mailbox provider. Every method may raise `errors.ClickHouseUnavailable`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from analytics import engagement, histogram, ledgers
from analytics.clickhouse.client import Store
from analytics.engagement import Engagement
from analytics.sparing import Sparing
from events.ledger import Ledger

NEWEST: Final = 2**63
"""As of an event: of the newest."""

RATE_WINDOW_SECONDS: Final = 10
"""What "now" means in the rate of a campaign."""

LATENCY_STEP_SECONDS: Final = 10
"""The finest step of latency over time."""

EXACT_LEDGER_SECONDS: Final = 10
"""How long an exact ledger is shown where rollups cannot give one: counting every mail each second would cost too much."""

ENGAGEMENT_SHARE: Final = 0.05
"""Of the time that counting what readers did may take, however often somebody looks."""

EVENT_WINDOWS: Final = (4, 400)
"""How far back events are looked for before the whole table is, as multiples of how many are wanted."""

NEWEST_CAMPAIGNS: Final = 100
"""As many as the overview shows: what a look at it costs does not grow with the years."""

CLOSED_LEDGER_SECONDS: Final = 60
"""How long the ledger of a closed campaign is shown in the overview without asking again: late evidence is rare."""


class CampaignSummary(msgspec.Struct, frozen=True, kw_only=True):
    campaign: str
    name: str
    pool: str
    status: str
    """`planning`, `running`, `finished` or `cancelled`; that a campaign is paused is not a fact, only the bucket knows."""
    started_at: float | None
    finished_at: float | None
    duplicates: int
    rejected: int
    batches_planned: int
    batches_queued: int
    """Batches whose mails are all in the queue."""
    rate: float
    """Outcomes per second over the last `RATE_WINDOW_SECONDS`."""
    ledger: Ledger


class RatePoint(msgspec.Struct, frozen=True):
    """Outcomes within one step, as counts; divide by the step for a rate."""

    at: float
    """When the step begins."""
    accepted: int
    deferred: int
    bounced: int
    failed: int
    in_doubt: int


class LatencyBucket(msgspec.Struct, frozen=True):
    up_to_seconds: float
    count: int


class Latency(msgspec.Struct, frozen=True):
    """From queued to accepted, seconds; quantiles are within 5 % (histogram buckets), 0 where nothing was accepted."""

    count: int
    p50: float
    p99: float
    p999: float
    buckets: list[LatencyBucket]
    """Doubling bounds, ascending, without gaps from the first to the last that holds anything."""


class LatencyPoint(msgspec.Struct, frozen=True):
    at: float
    count: int
    p50: float
    p99: float


class ProviderRow(msgspec.Struct, frozen=True):
    provider: str
    accepted: int
    deferred: int
    """Attempts, not mails: one mail may be deferred several times."""
    bounced: int
    failed: int
    in_doubt: int
    p50: float
    p99: float


class FailureRow(msgspec.Struct, frozen=True):
    outcome: str
    """`deferred`, `bounced`, `failed`, `suppressed` or `in_doubt`."""
    failure_class: str
    code: int
    enhanced: str
    reply: str
    """With ids, addresses and numbers replaced (`analytics.replies`)."""
    count: int


class Sizes(msgspec.Struct, frozen=True):
    mails: int
    raw_bytes: int
    queued_bytes: int
    ratio: float
    """Raw by queued; 0 before the first batch is queued."""


class FirstAttempts(msgspec.Struct, frozen=True):
    """Outcomes of attempt 1, whatever they were."""

    count: int
    first_at: float | None
    last_at: float | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    at: float
    campaign: str
    type: str
    mail_id: str
    attempt: int
    recipient: str
    pool: str
    provider: str
    failure_class: str
    code: int
    enhanced: str
    reply: str
    latency_seconds: float
    retry_at: float | None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What `Reports.events` shows; empty means any."""

    campaign: str = ""
    types: tuple[str, ...] = ()
    mail_id: str = ""
    recipient: str = ""
    provider: str = ""
    failure_class: str = ""
    since: float = 0
    until: float | None = None
    before_sequence: int | None = None
    """For paging: the smallest sequence seen so far."""
    after_sequence: int = 0
    """For following: the largest sequence seen so far."""


class Counted(msgspec.Struct, frozen=True):
    """What was planned of a campaign as of an event, and its ledger from the rollups, which know no such moment."""

    planned: int
    cancelled: int
    closed: bool
    rollups: Ledger
    rolled_up_to: int
    """The newest event that the rollups may have counted."""


class _Closed(NamedTuple):
    asked_at: float
    closed_at: float
    ledger: Ledger


class Reports:
    """One per user of the store: calls of one `Store` wait for each other."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._exact: dict[str, tuple[float, Ledger]] = {}
        self._closed: dict[str, _Closed] = {}
        self._engagement: Sparing[Engagement] = Sparing(ENGAGEMENT_SHARE, clock)

    async def migrate(self) -> None:
        """Make sure that there is something to ask. Harmless to repeat."""
        await self._store.migrate()

    async def overview(self, newest: int = NEWEST_CAMPAIGNS, also: str = "") -> list[CampaignSummary]:
        """The newest campaigns that have facts, the newest first; `also` is among them, however old."""
        now = self._clock()
        rows = await self._store.query("campaigns", newest=newest, also=also)
        rates = dict(await self._store.query("recent_outcomes", since=int(now) - RATE_WINDOW_SECONDS, until=int(now)))
        ledgers_now = await self._overview_ledgers(rows)
        return [_summary(row, ledgers_now[row[0]], rates.get(row[0], 0)) for row in rows]

    async def _overview_ledgers(self, rows: Sequence[Sequence[Any]]) -> dict[str, Ledger]:
        """Closed campaigns only grow in number: asking about all of them every second would cost ever more."""
        now = self._clock()
        closed_at = {row[0]: row[5] for row in rows}
        known = {
            name: entry
            for name, entry in self._closed.items()
            if entry.closed_at == closed_at.get(name) and now - entry.asked_at < CLOSED_LEDGER_SECONDS
        }
        fresh = await self._ledgers([name for name in closed_at if name not in known])
        closed = {name: _Closed(now, closed_at[name], ledger) for name, ledger in fresh.items() if closed_at[name]}
        self._closed = known | closed
        return fresh | {name: entry.ledger for name, entry in known.items()}

    async def ledger(self, campaign: str) -> Ledger:
        """From rollups: cheap enough to ask every second.

        Where they show that an outcome was stated twice (a repeat after the deduplication window), mails are counted one by
        one instead.
        """
        return (await self._ledgers([campaign]))[campaign]

    async def exact_ledger(self, campaign: str) -> Ledger:
        """Recipient by recipient from the raw table: the state of a mail is that of its highest attempt.

        A known outcome beats an `in_doubt` of the same attempt. Costs about a second per 10M recipients.
        """
        await self._store.catch_up()
        plans = await self._store.query("plans", campaigns=[campaign], until=NEWEST)
        states = dict(await self._store.query("exact_states", campaign=campaign))
        return ledgers.from_states(ledgers.plan_of(campaign, plans), states)

    async def standings(self, campaign: str, *, after: str, until: int, limit: int) -> list[tuple[str, int, str]]:
        """Mails as of the event `until`, in the order of their ids, behind the id `after`: (id, attempt, state)."""
        rows = await self._store.query("standings", campaign=campaign, after=after, until=until, limit=limit)
        return [(mail, attempt, state) for mail, attempt, state in rows]

    async def counted(self, campaign: str, until: int) -> Counted:
        """What goes with `standings`, and the rollups."""
        then, now = [
            ledgers.plan_of(campaign, await self._store.query("plans", campaigns=[campaign], until=moment))
            for moment in (until, NEWEST)
        ]
        ledger = await self.ledger(campaign)
        ((newest,),) = await self._store.query("newest_sequence", campaign=campaign)
        return Counted(then.planned, then.cancelled, then.closed, ledger, newest if then == now else NEWEST)

    async def batches_planned(self, campaign: str) -> int:
        """The highest number of a batch; 0 before the first."""
        ((number,),) = await self._store.query("batches_planned", campaign=campaign)
        return int(number)

    async def rate(self, campaign: str | None, since: float, step_seconds: int) -> list[RatePoint]:
        """Outcomes per step from `since` on, ascending, a point for every step up to now; None: of all campaigns."""
        first = int(since) // step_seconds * step_seconds
        rows = await self._store.query("rate", campaign=campaign or "", since=first, step=step_seconds)
        found = {int(row[0]): RatePoint(float(row[0]), *row[1:]) for row in rows}
        steps = range(first, int(self._clock()) + 1, step_seconds)
        return [found.get(at, RatePoint(float(at), 0, 0, 0, 0, 0)) for at in steps]

    async def latency(self, campaign: str) -> Latency:
        rows = await self._store.query("latency", campaign=campaign)
        counts: histogram.Counts = dict(rows)
        return Latency(
            count=sum(counts.values()),
            p50=histogram.quantile(counts, 0.5),
            p99=histogram.quantile(counts, 0.99),
            p999=histogram.quantile(counts, 0.999),
            buckets=[LatencyBucket(*bucket) for bucket in histogram.doubling(counts)],
        )

    async def latency_over_time(self, campaign: str, step_seconds: int = LATENCY_STEP_SECONDS) -> list[LatencyPoint]:
        """Ascending; steps in which nothing was accepted are left out. Steps are multiples of `LATENCY_STEP_SECONDS`."""
        step = max(LATENCY_STEP_SECONDS, step_seconds // LATENCY_STEP_SECONDS * LATENCY_STEP_SECONDS)
        rows = await self._store.query("latency_over_time", campaign=campaign, step=step)
        return [
            LatencyPoint(
                float(at), sum(counts.values()), histogram.quantile(counts, 0.5), histogram.quantile(counts, 0.99)
            )
            for at, counts in _grouped(rows).items()
        ]

    async def providers(self, campaign: str) -> list[ProviderRow]:
        """By name; providers without any outcome are left out."""
        rows = await self._store.query("providers", campaign=campaign)
        counts = _grouped(await self._store.query("provider_latency", campaign=campaign))
        return [_provider(row, counts.get(row[0], {})) for row in rows]

    async def failures(self, campaign: str, limit: int = 50) -> list[FailureRow]:
        """The most frequent ways of not being accepted, by attempts."""
        return [FailureRow(*row) for row in await self._store.query("failures", campaign=campaign, limit=limit)]

    async def doubts(self, campaign: str, limit: int = 100) -> list[EventRow]:
        """The mails that are in doubt now, the newest doubts first."""
        return [_event(row) for row in await self._store.query("doubts", campaign=campaign, limit=limit)]

    async def engagement(self, campaign: str) -> Engagement:
        """What readers did with its mails. Counting millions of opens takes a second, and they come all the time: it may be as
        old as twenty times that."""
        return await self._engagement.get(campaign, lambda: engagement.of_campaign(self._store, campaign))

    async def sizes(self, campaign: str) -> Sizes:
        ((mails, raw_bytes, queued_bytes),) = await self._store.query("sizes", campaign=campaign)
        return Sizes(mails, raw_bytes, queued_bytes, raw_bytes / queued_bytes if queued_bytes else 0.0)

    async def first_attempts(self, campaign: str) -> FirstAttempts:
        ((count, first_at, last_at),) = await self._store.query("first_attempts", campaign=campaign)
        return FirstAttempts(count, first_at, last_at) if count else FirstAttempts(0, None, None)

    async def events(self, wanted: EventFilter, limit: int = 100) -> list[EventRow]:
        """The newest `limit` mail events that match, the newest first (by their place in the stream)."""
        rows: list[tuple[Any, ...]] = []
        for after in await self._windows(wanted, limit):
            rows = await self._store.query("events", **_parameters(wanted), after=after, limit=limit)
            if len(rows) == limit:
                break
        return [_event(row) for row in rows]

    async def _windows(self, wanted: EventFilter, limit: int) -> list[int]:
        """Sequences to look behind, one after the other: the table is sorted by mail, so looking at all of it costs most."""
        if wanted.mail_id or wanted.recipient:
            return [wanted.after_sequence]
        ((newest,),) = await self._store.query("newest_sequence", campaign=wanted.campaign)
        newest = min(newest, (wanted.before_sequence or newest + 1) - 1)
        windows = [newest - times * limit for times in EVENT_WINDOWS]
        return [*(after for after in windows if after > wanted.after_sequence), wanted.after_sequence]

    async def _ledgers(self, campaigns: list[str]) -> dict[str, Ledger]:
        plans = await self._store.query("plans", campaigns=campaigns, until=NEWEST)
        counts = await self._store.query("outcome_counts", campaigns=campaigns)
        contested = any(row[1] in ledgers.CONTESTING for row in counts)
        histories = await self._store.query("histories", campaigns=campaigns) if contested else []
        found = {}
        for campaign in campaigns:
            plan = ledgers.plan_of(campaign, plans)
            ledger = ledgers.from_counts(
                plan,
                ledgers.counts_of(campaign, counts),
                *ledgers.contested_of(campaign, histories),
            )
            plausible = ledger.balanced if plan.closed else ledger.consistent
            found[campaign] = ledger if plausible else await self._recent_exact_ledger(campaign)
        return found

    async def _recent_exact_ledger(self, campaign: str) -> Ledger:
        known_at, known = self._exact.get(campaign, (0.0, Ledger()))
        if self._clock() - known_at >= EXACT_LEDGER_SECONDS:
            known = await self.exact_ledger(campaign)
            self._exact[campaign] = self._clock(), known
        return known


def _summary(row: Sequence[Any], ledger: Ledger, recent: int) -> CampaignSummary:
    return CampaignSummary(
        campaign=row[0],
        name=row[1],
        pool=row[2],
        status=row[3],
        started_at=row[4],
        finished_at=row[5],
        duplicates=row[6],
        rejected=row[7],
        batches_planned=row[8],
        batches_queued=row[9],
        rate=recent / RATE_WINDOW_SECONDS,
        ledger=ledger,
    )


def _provider(row: Sequence[Any], latencies: histogram.Counts) -> ProviderRow:
    quantiles = (histogram.quantile(latencies, 0.5), histogram.quantile(latencies, 0.99))
    return ProviderRow(*(*row, *quantiles))


def _grouped(rows: Sequence[Sequence[Any]]) -> dict[Any, dict[int, int]]:
    """(key, bucket, count) rows as one histogram per key, in the order of the rows."""
    grouped: dict[Any, dict[int, int]] = {}
    for key, bucket, count in rows:
        grouped.setdefault(key, {})[bucket] = count
    return grouped


def _parameters(wanted: EventFilter) -> dict[str, Any]:
    until = datetime.max.replace(tzinfo=UTC).timestamp() if wanted.until is None else wanted.until
    return {
        "campaign": wanted.campaign,
        "types": list(wanted.types),
        "mail_id": wanted.mail_id,
        "recipient": wanted.recipient,
        "provider": wanted.provider,
        "failure_class": wanted.failure_class,
        "since": wanted.since,
        "until": until,
        "before": wanted.before_sequence or 2**63,
    }


def _event(row: Sequence[Any]) -> EventRow:
    return msgspec.convert(dict(zip(EventRow.__struct_fields__, row, strict=True)), EventRow)
