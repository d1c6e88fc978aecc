"""What a campaign came to: the result of an end-to-end run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from analytics.clickhouse.client import connect
from analytics.settings import ClickHouseSettings
from benchmarks.e2e.campaign import Course
from benchmarks.e2e.options import Options
from benchmarks.frame import processes
from benchmarks.frame.processes import Reading
from events.ledger import Ledger
from jetpost.simulator.stats import SimulatorStats

_OUTCOMES: Final = """\
SELECT countIf(type = 'accepted'), toFloat64(min(at)), toFloat64(max(at)),
    quantilesExactIf(0.5, 0.9, 0.99, 0.999)(latency_seconds, type = 'accepted'),
    maxIf(latency_seconds, type = 'accepted'),
    countIf(type = 'accepted' AND latency_seconds <= 3600)
FROM events
WHERE campaign = 'bench' AND attempt > 0"""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What ClickHouse holds, row by row."""

    accepted: int
    first_at: float
    last_at: float
    """Unix seconds, when the outcome was stated."""
    latency_seconds: dict[str, float]
    """From queued to accepted."""
    within_an_hour: float
    """The share of accepted mails with a latency of at most an hour."""


def outcomes(clickhouse: Path) -> Outcomes:
    """From the data folder of a stack that is down: looking costs the run nothing."""
    client = connect(ClickHouseSettings(url=f"chdb://{clickhouse}"))
    try:
        ((accepted, first_at, last_at, quantiles, longest, in_time),) = client.query(_OUTCOMES).result_rows
    finally:
        client.close()
    named = zip(("p50", "p90", "p99", "p999", "max"), (*quantiles, longest), strict=True)
    return Outcomes(
        accepted=accepted,
        first_at=first_at,
        last_at=last_at,
        latency_seconds={name: round(value, 3) for name, value in named} if accepted else {},
        within_an_hour=in_time / accepted if accepted else 0.0,
    )


def summarise(
    options: Options,
    course: Course,
    found: Outcomes,
    taken: SimulatorStats,
    peak_memory: dict[str, int],
    restarts: int,
) -> dict[str, Any]:
    """The result. `mails_per_second` counts from launch to the last outcome stated; where the queue was filled first, from
    when the senders were ready."""
    figures = course.report["figures"]
    ledger = msgspec.convert(figures["progress"]["ledger"], Ledger)
    sizes = figures["sizes"]
    began = min(course.filling.sending_from, found.first_at) if course.filling else course.launched_at
    seconds = found.last_at - began
    mails = options.mails
    cpu = cpu_per_mail(course.before, course.after, mails)
    return {
        "mails": mails,
        "mails_per_second": round(ledger.settled / seconds, 1) if ledger.settled else 0.0,
        "balanced": balanced(mails, ledger, found.accepted, taken),
        "seconds": round(seconds, 3),
        "finished_seconds": round(course.finished_seconds, 3),
        "mails_per_second_at_full_use": round(at_full_use(cpu["total"]["total"]), 1),
        "cpu_us_per_mail": cpu,
        "latency_seconds": found.latency_seconds,
        "within_an_hour": found.within_an_hour,
        "mail_bytes": round(sizes["raw_bytes"] / max(1, sizes["mails"]), 1),
        "queued_bytes": round(sizes["queued_bytes"] / max(1, sizes["mails"]), 1),
        "peak_memory_mb": {name: round(size / 1e6, 1) for name, size in peak_memory.items()},
        "nats_disk_peak_bytes": course.disk_peak,
        "filling": _filling(course, mails),
        "cores_of_others": round(processes.cores_of_others(course.before, course.after), 2),
        "restarts": restarts,
        "ledger": msgspec.to_builtins(ledger),
        "simulator": {"accepted": taken.accepted, "accepted_more_than_once": taken.accepted_more_than_once},
        "options": msgspec.to_builtins(msgspec.structs.replace(options, keep=None)),
    }


def balanced(mails: int, ledger: Ledger, in_clickhouse: int, taken: SimulatorStats) -> bool:
    """Everybody is accounted for, and everybody's books say the same: the ledger's, ClickHouse's, and the simulator's."""
    return (
        ledger.planned == mails
        and ledger.balanced
        and ledger.settled == mails
        and ledger.accepted == in_clickhouse == taken.accepted
        and taken.accepted_more_than_once == 0
    )


def cpu_per_mail(before: Reading, after: Reading, mails: int) -> dict[str, dict[str, float]]:
    """µs by process, and of all together."""
    used = processes.between(before, after)
    used["total"] = processes.Cpu(sum(one.user for one in used.values()), sum(one.system for one in used.values()))
    return {
        name: {
            "user": round(one.user / mails * 1e6, 1),
            "system": round(one.system / mails * 1e6, 1),
            "total": round(one.total / mails * 1e6, 1),
        }
        for name, one in used.items()
    }


def at_full_use(cpu_us: float) -> float:
    """Mails a second if all cores did nothing else, and never waited: what is left of a measurement on a busy machine."""
    return len(os.sched_getaffinity(0)) * 1e6 / cpu_us if cpu_us else 0.0


def _filling(course: Course, mails: int) -> dict[str, Any] | None:
    filling = course.filling
    if filling is None:
        return None
    grown = {
        name: round((size - filling.disk_before.get(name, 0)) / mails, 1) for name, size in filling.disk_after.items()
    }
    return {
        "mails_per_second": round(mails / filling.seconds, 1),
        "seconds": round(filling.seconds, 3),
        "cpu_us_per_mail": cpu_per_mail(filling.before, filling.after, mails),
        "nats_disk_bytes_per_mail": {name: size for name, size in grown.items() if name in ("all", "MAIL")},
    }
