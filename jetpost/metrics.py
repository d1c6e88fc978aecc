"""Which process exposes which metrics, and docs/metrics.md, which is made from them.

A process exposes only what it moves: a gauge that only the ingester measures would stand at a wrong 0 everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, metrics

from events import metrics as ours

EXPOSED: Final[Mapping[str, tuple[metrics.MetricWrapperBase, ...]]] = {
    "producer": (
        ours.MAILS_QUEUED,
        ours.MAILS_UNRENDERABLE,
        ours.MAILS_SUPPRESSED,
        ours.QUEUED_BYTES,
        ours.PRODUCER_ERRORS,
    ),
    "sender": (
        ours.EMAILS_SENT,
        ours.EMAILS_NOT_SENT,
        ours.EMAILS_SIGNED,
        ours.DELIVERY_LATENCY_SECONDS,
        ours.SMTP_TRANSACTION_SECONDS,
        ours.THROTTLE_TOKENS,
        ours.THROTTLE_WAITED_SECONDS,
        ours.THROTTLE_SHUT,
        ours.SMTP_CONNECTIONS,
        ours.LANES_MOVED,
        ours.SENDER_ERRORS,
        ours.SUPPRESSION_ENTRIES,
        ours.LANE_RATE_LIMIT,
        ours.LANE_CONNECTION_LIMIT,
        ours.LANE_PAUSED_SECONDS,
        ours.LANE_OBJECTIONS,
        ours.BREAKERS_OPEN,
        ours.WARMUP_ALLOWANCE,
    ),
    "ingester": (
        ours.EVENTS_INGESTED,
        ours.EVENTS_REJECTED,
        ours.INGEST_LAG_EVENTS,
        ours.INGEST_INSERT_SECONDS,
        ours.QUEUE_DEPTH,
        ours.RETRY_QUEUE_SIZE,
        ours.DLQ_SIZE,
        ours.BATCHES_WAITING,
        ours.CAMPAIGNS_SCHEDULED,
        ours.CAMPAIGNS_PAUSED,
        ours.SENDERS_WANTED,
        ours.SENDERS_ALIVE,
        ours.SENDER_CAPACITY,
        ours.CAMPAIGN_DEADLINE_RISK,
        ours.SENDING_LIMITED,
        ours.STORE_USED_BYTES,
        ours.STORE_LIMIT_BYTES,
        ours.WISHES_WAITING,
        ours.CALLBACK_EVENTS,
        ours.CALLBACKS_WAITING,
        ours.CONFIRMATIONS,
    ),
    "bounces": (ours.BOUNCE_MAILS,),
    "web": (ours.HTTP_REQUEST_SECONDS, ours.REACTIONS_LOST, ours.CALLBACKS),
}

EVERYWHERE: Final[tuple[metrics.MetricWrapperBase, ...]] = (ours.STEPS_WAITING,)
"""What every process exposes, whatever it runs: it is moved by what they share."""


def registry(*components: str) -> CollectorRegistry:
    """What a process that runs these components exposes, with figures on itself (CPU, memory, files, Python)."""
    chosen = CollectorRegistry()
    for component in components:
        for metric in EXPOSED[component]:
            chosen.register(metric)
    for metric in EVERYWHERE:
        chosen.register(metric)
    for general in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        chosen.register(general)
    return chosen


def documentation() -> str:
    """The table of all metrics, as Markdown."""
    lines = ["| Metric | Type | Labels | Process | Meaning |", "|---|---|---|---|---|"]
    lines += [_row("all", metric) for metric in EVERYWHERE]
    lines += [_row(component, metric) for component, exposed in EXPOSED.items() for metric in exposed]
    return "\n".join(lines)


def _row(component: str, metric: metrics.MetricWrapperBase) -> str:
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - told nowhere else
    meaning = family.documentation.replace("|", "\\|")
    return f"| `{name}` | {family.type} | {labels} | {component} | {meaning} |"
