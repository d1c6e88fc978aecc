"""Runs of the usual set, and the figures that are compared. Pure functions of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.frame.figures import Figure, Kind, figure, paired

SPEED: Final = "python_loops_per_second"
"""What figures are made relative to: every machine can measure it, and most of the work is Python's."""
SMTP: Final = "smtp_mails_per_second"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Measured one right after the other, so that all of it met the same machine."""

    calibration: dict[str, float]
    pipelined: dict[str, Any]
    plain: dict[str, Any]
    """One mail at a time, four commands of aiosmtplib."""
    sendmail: dict[str, Any]
    """One mail at a time through aiosmtplib's `sendmail`."""


def figures(runs: Sequence[Run], budget: Mapping[str, Any]) -> dict[str, Figure]:
    """By name, in the order in which they are shown."""
    speeds = [run.calibration[SPEED] for run in runs]

    def of(kind: Kind, unit: str, value: Callable[[Run], float]) -> Figure:
        return figure(kind, unit, [value(run) for run in runs], speeds)

    found = {
        "mails a second": of("rate", "/s", lambda run: run.pipelined["mails_per_second"]),
        "one at a time": of("rate", "/s", lambda run: run.plain["mails_per_second"]),
        "with aiosmtplib's sendmail": of("rate", "/s", lambda run: run.sendmail["mails_per_second"]),
        "pipelined ÷ one at a time": paired(_rates(runs), [run.plain["mails_per_second"] for run in runs]),
        "pipelined ÷ sendmail": paired(_rates(runs), [run.sendmail["mails_per_second"] for run in runs]),
    }
    if all(SMTP in run.calibration for run in runs):
        smtp = [run.calibration[SMTP] for run in runs]
        found["mails a second ÷ smtp-source → smtp-sink"] = paired(_rates(runs), smtp)
    for name in _processes(runs):
        found[f"CPU per mail, {name}"] = of("cost", "µs", lambda run, name=name: _cpu(run, name))  # type: ignore[misc]
    for name in _processes(runs):
        if name != "total":
            found[f"memory, {name}"] = of("plain cost", "MB", lambda run, name=name: _memory(run, name))  # type: ignore[misc]
    found["events a second, one ingester"] = figure("rate", "/s", [budget["events_per_second"]], [median(speeds)])
    return found


def balanced(runs: Sequence[Run]) -> bool:
    """In every campaign of every run."""
    return all(result["balanced"] for run in runs for result in (run.pipelined, run.plain, run.sendmail))


def cores_of_others(runs: Sequence[Run]) -> float:
    """How many cores were busy with something else, in the run in which it was most."""
    return max(float(result["cores_of_others"]) for run in runs for result in (run.pipelined, run.plain, run.sendmail))


def calibration(runs: Sequence[Run]) -> dict[str, float]:
    """The median of each rate."""
    names = dict.fromkeys(name for run in runs for name in run.calibration)
    return {name: median([run.calibration[name] for run in runs if name in run.calibration]) for name in names}


def _rates(runs: Sequence[Run]) -> list[float]:
    return [run.pipelined["mails_per_second"] for run in runs]


def _processes(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.pipelined["cpu_us_per_mail"]))


def _cpu(run: Run, name: str) -> float:
    return float(run.pipelined["cpu_us_per_mail"].get(name, {"total": 0.0})["total"])


def _memory(run: Run, name: str) -> float:
    return float(run.pipelined["peak_memory_mb"].get(name, 0.0))
