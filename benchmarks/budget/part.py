"""The part `budget`."""

from __future__ import annotations

import argparse
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.budget import rendering, serving
from benchmarks.budget.stage import Stage, by_process
from benchmarks.frame import isolation
from benchmarks.frame.part import Part

MAILS = 30_000
SIZE = 10_240
EVENTS = 500_000
"""So many that the last insert, which waits for company, hardly counts."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=MAILS, help="through NATS and SMTP")
    parser.add_argument("--events", type=int, default=EVENTS, help="through the ingester")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of a mail, on average")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    return measure(mails=arguments.mails, events=arguments.events, size=arguments.size)


def measure(*, mails: int = MAILS, events: int = EVENTS, size: int = SIZE) -> dict[str, Any]:
    """Every stage by itself: together they are less than a campaign, where all of them share two cores and caches."""
    isolation.console().print(f"[dim]  every stage by itself, {mails:,} mails, {events:,} events[/]")
    found, frames = rendering.stages(size)
    found += uvloop.run(serving.through_nats(frames, mails))
    found.append(uvloop.run(serving.through_smtp(mails)))
    ingesting, events_per_second = uvloop.run(serving.through_ingester(events))
    found.append(ingesting)
    return {
        "stages": [_rounded(stage) for stage in found],
        "cpu_us_per_mail": {name: round(us, 1) for name, us in by_process(found).items()},
        "events_per_second": round(events_per_second),
    }


def _rounded(stage: Stage) -> dict[str, Any]:
    plain = stage._asdict()
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in plain.items()}


def show(result: dict[str, Any], console: Console) -> None:
    """A line for each stage."""
    table = Table("stage", "by", "µs CPU", "served by", "µs CPU", box=None, header_style="bold")
    for column in (2, 4):
        table.columns[column].justify = "right"
    for plain in result["stages"]:
        stage = Stage(**plain)
        serving_us = f"{stage.served:.1f}" if stage.served_by else ""
        table.add_row(stage.name, stage.by, f"{stage.own:.1f}", stage.served_by, serving_us)
    console.print(table)
    shares = "   ".join(f"{name} {us:.0f}" for name, us in result["cpu_us_per_mail"].items())
    total = sum(result["cpu_us_per_mail"].values())
    console.print(
        f"together [bold]{total:.0f} µs[/]: {shares};  one ingester takes {result['events_per_second']:,} events/s"
    )


PART = Part(
    name="budget",
    what="CPU of every stage of a mail's way, each by itself",
    add_options=_add_options,
    run=_run,
    show=show,
)
