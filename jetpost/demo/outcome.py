"""What the demo found: the report that `--json` writes. Its keys are stable."""

from __future__ import annotations

from typing import Any

import msgspec

from events.ledger import Ledger
from jetpost.simulator.stats import SimulatorStats


class LatencyQuantiles(msgspec.Struct, frozen=True, kw_only=True):
    """From queued to accepted, seconds."""

    p50: float
    p99: float
    p999: float


class SimulatorCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator took, counted by mail id."""

    accepted: int
    accepted_more_than_once: int


class QueueBytes(msgspec.Struct, frozen=True, kw_only=True):
    """What the mails weigh as messages, and what they weigh in the queue."""

    raw: int
    queued: int
    ratio: float


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a demo."""

    ledger: Ledger
    balanced: bool
    """Every recipient has exactly one final outcome, and the simulator took exactly the accepted ones, once each."""
    mails_per_second: float
    """First attempts, from launch to the last of them."""
    latency_seconds: LatencyQuantiles
    simulator: SimulatorCounts
    providers: dict[str, dict[str, int]]
    """Outcomes of attempts by mailbox provider."""
    queue_bytes: QueueBytes
    versions: dict[str, str]
    recipients: int
    seconds: float
    """From launch to the last outcome, retries included."""


def summarise(
    document: dict[str, Any],
    simulator: SimulatorStats,
    *,
    launched_at: float,
    seconds: float,
    recipients: int,
    versions: dict[str, str],
) -> DemoReport:
    """From the campaign's report (API), the simulator's counts and the moment of the launch (Unix seconds)."""
    figures = document["figures"]
    ledger = msgspec.convert(figures["progress"]["ledger"], Ledger)
    taken = SimulatorCounts(
        accepted=simulator.accepted or 0, accepted_more_than_once=simulator.accepted_more_than_once or 0
    )
    first, sizes = figures["first_attempts"], figures["sizes"]
    return DemoReport(
        ledger=ledger,
        balanced=agrees(ledger, taken),
        mails_per_second=rate(first["count"], launched_at, first["last_at"]),
        latency_seconds=msgspec.convert({q: figures["latency"][q] for q in ("p50", "p99", "p999")}, LatencyQuantiles),
        simulator=taken,
        providers={row["provider"]: _counts(row) for row in document["providers"]},
        queue_bytes=QueueBytes(raw=sizes["raw_bytes"], queued=sizes["queued_bytes"], ratio=round(sizes["ratio"], 1)),
        versions=versions,
        recipients=recipients,
        seconds=round(seconds, 3),
    )


def agrees(ledger: Ledger, simulator: SimulatorCounts) -> bool:
    """Whether the books balance and the other side's books say the same."""
    return ledger.balanced and ledger.accepted == simulator.accepted and simulator.accepted_more_than_once == 0


def rate(first_attempts: int, launched_at: float, last_at: float | None) -> float:
    """First attempts per second from launch to the last of them; 0 where there was none."""
    if last_at is None or last_at <= launched_at:
        return 0.0
    return round(first_attempts / (last_at - launched_at), 1)


def _counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in ("accepted", "deferred", "bounced", "failed", "in_doubt")}
