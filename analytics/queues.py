"""How much lies in the queues, and the gauges that show it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from analytics import progress
from events import metrics, streams, subjects
from events.bus import Bus, Storage
from events.schemas import Campaign


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    due: Mapping[tuple[str, str, str], int]
    """Mails that are due or in a sender's hands, by pool, provider and campaign."""
    waiting: int
    """Mails that wait for a scheduled retry, of all campaigns."""
    batches: Mapping[str, int]
    """Batches that no producer has finished, by campaign."""
    given_up: Mapping[str, int]
    """Mails in the DLQ, by class of failure."""
    ingested: int
    """The sequence up to which every event is in ClickHouse."""
    last_event: int
    """The sequence of the newest event."""
    storage: Storage

    @property
    def ingest_lag(self) -> int:
        """Events that are not in ClickHouse yet."""
        return max(0, self.last_event - self.ingested)

    def due_of(self, campaign: str) -> int:
        return sum(count for (_, _, owner), count in self.due.items() if owner == campaign)


async def measure(bus: Bus) -> Queues:
    """Costs the server little, however much lies in the queues. Raises `RetryLater`."""
    due = await bus.count_by_subject(streams.MAIL.name, subjects.MAIL_DUE)
    retries = await bus.consumer_state(streams.WAITING.stream, streams.WAITING.name)
    given_up = await bus.count_by_subject(streams.DLQ.name, subjects.DLQ)
    batches = await bus.count_by_subject(streams.BATCHES.name, subjects.BATCHES)
    events = await bus.stream_state(streams.EVENTS.name)
    ingested = await progress.ingested(bus)
    return Queues(
        due=due_by_lane(due),
        waiting=retries.waiting if retries else 0,
        batches=by_last_token(batches),
        given_up=by_last_token(given_up),
        ingested=ingested,
        last_event=events.last_sequence,
        storage=await bus.storage(),
    )


def due_by_lane(counts: Mapping[str, int]) -> dict[tuple[str, str, str], int]:
    """From subjects `mail.send.<pool>.<provider>.<campaign>`."""
    lanes = {}
    for subject, count in counts.items():
        _, _, pool, provider, campaign = subject.split(".")
        lanes[pool, provider, campaign] = count
    return lanes


def by_last_token(counts: Mapping[str, int]) -> dict[str, int]:
    """From subjects `dlq.<campaign>.<provider>.<class>` by class, from `batches.…<campaign>` by campaign."""
    found: Counter[str] = Counter()
    for subject, count in counts.items():
        found[subject.rpartition(".")[2]] += count
    return dict(found)


def show(queues: Queues, campaigns: Iterable[Campaign] = ()) -> None:
    """Set the gauges. A lane that is empty is not shown any more, rather than with what it last held.

    Mails of campaigns that are paused or wait for their start are not due, although they lie where those do.
    """
    held = {campaign.id for campaign in campaigns if campaign.is_scheduled or campaign.status == "paused"}
    depths: Counter[tuple[str, str]] = Counter()
    for (pool, provider, campaign), count in queues.due.items():
        if campaign not in held:
            depths[pool, provider] += count
    metrics.replace_all(metrics.QUEUE_DEPTH, depths)
    metrics.RETRY_QUEUE_SIZE.set(queues.waiting)
    metrics.replace_all(metrics.DLQ_SIZE, {(failure_class,): count for failure_class, count in queues.given_up.items()})
    metrics.BATCHES_WAITING.set(sum(queues.batches.values()))
    metrics.INGEST_LAG_EVENTS.set(queues.ingest_lag)
    metrics.STORE_USED_BYTES.set(queues.storage.used)
    metrics.STORE_LIMIT_BYTES.set(math.inf if queues.storage.limit is None else queues.storage.limit)


def show_campaigns(campaigns: Iterable[Campaign]) -> None:
    """Set the gauges: how many wait for their start, and how many are paused, and why."""
    open_ones = [campaign for campaign in campaigns if campaign.finished_at is None]
    paused = Counter(campaign.pause_reason or "person" for campaign in open_ones if campaign.status == "paused")
    metrics.replace_all(metrics.CAMPAIGNS_PAUSED, {(reason,): count for reason, count in paused.items()})
    scheduled = [
        campaign for campaign in open_ones if campaign.is_scheduled and campaign.status in {"planning", "running"}
    ]
    metrics.CAMPAIGNS_SCHEDULED.set(len(scheduled))
