"""The part `autoscaling`: whether a campaign is done in time by senders that are started and stopped as Jetpost says it needs
them, and whether none is started where it would not help.

    deadline    more mails than one sender sends in time: more are started, and stopped when they are not needed
    limited     the same, and the pool has a limit that one sender uses up; senders of an earlier campaign have told of it
    throttled   the same, and mailbox providers bear little, as an earlier campaign has taught
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import uvloop
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks.autoscaling import scenario
from benchmarks.autoscaling.scenario import Plan
from benchmarks.frame import isolation
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from events.providers import PROVIDERS
from jetpost.stopping import cancel_on_signals

NAMES: Final = ("deadline", "limited", "throttled")
LIMITED_MAILS: Final = 1_500
LIMITED_SECONDS: Final = 30.0
LIMITED_RATE: Final = 15.0
"""Mails per second, of all providers together."""
_SHOWN: Final = 24
"""Lines of a run."""


def plans(mails: int, within_seconds: float) -> dict[str, Plan]:
    """By name. Without a limit the other two would need several senders; with it one is enough."""
    rate, penalty = LIMITED_RATE / len(PROVIDERS), {"penalty_seconds": 5, "penalty_max_seconds": 5}
    bears = {name: {"rate": rate, "burst": 10, **penalty} for name in PROVIDERS}
    earlier = LIMITED_MAILS // 5
    limited = Plan(name="limited", mails=LIMITED_MAILS, within_seconds=LIMITED_SECONDS, earlier=earlier)
    return {
        "deadline": Plan(name="deadline", mails=mails, within_seconds=within_seconds),
        "limited": replace(limited, pool_rate=LIMITED_RATE),
        "throttled": replace(limited, name="throttled", profiles=json.dumps(bears)),
    }


def measure(plan: Plan, record: Path | None) -> dict[str, Any]:
    """A run in a folder of its own, told about on the terminal."""
    with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        try:
            return uvloop.run(_measure(plan, Path(folder), record, isolation.console()))
        except asyncio.CancelledError:
            raise SystemExit(130) from None


async def _measure(plan: Plan, folder: Path, record: Path | None, console: Console) -> dict[str, Any]:
    cancel_on_signals(asyncio.current_task())
    console.print(f"{plan.name}: {plan.mails:,} mails within {plan.within_seconds:g} s")
    return await scenario.run(plan, folder, record, lambda what: console.print(f"[dim]  {what}[/]"))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=30_000, help="mails of the campaign with the deadline")
    parser.add_argument("--within-seconds", type=float, default=240.0, help="its deadline, from its launch")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES), help="some of the runs")
    parser.add_argument("--record", type=Path, help="write what was seen of each run to this folder")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    chosen = plans(arguments.mails, arguments.within_seconds)
    runs = {name: apart(measure, chosen[name], arguments.record) for name in arguments.only}
    return {"balanced": all(run["balanced"] for run in runs.values()), "runs": runs, "missed": missed(runs)}


def missed(runs: dict[str, dict[str, Any]]) -> list[str]:
    """What should have been otherwise, in words."""
    found = []
    for name, run in runs.items():
        if not run["balanced"]:
            found.append(f"{name}: the books do not balance")
        if name == "deadline" and not run["in_time"]:
            found.append(f"{name}: done after {run['seconds']:g} s of {run['plan']['within_seconds']:g}")
        if name == "deadline" and run["most_senders"] > 2 * run["least_senders"]:
            found.append(f"{name}: {run['most_senders']} senders where {run['least_senders']} might do")
        if name != "deadline" and run["most_senders"] > 1:
            found.append(f"{name}: {run['most_senders']} senders where more than one does not help")
        if name != "deadline" and "provider_limited" not in run["reasons"]:
            found.append(f"{name}: it was never said that more senders would not help")
    return found


def show(result: dict[str, Any], console: Console) -> None:
    """For each run what was wanted when, and what came of it."""
    for name, run in result["runs"].items():
        table = Table("s", "wanted", "reason", "running", "due", "late", box=None, header_style="bold", title=name)
        for column in table.columns:
            column.justify = "left" if column.header == "reason" else "right"
        samples = run["samples"]
        for sample in samples[:: max(1, len(samples) // _SHOWN)]:
            table.add_row(
                f"{sample['seconds']:.0f}",
                f"{sample['wanted']}",
                sample["reason"],
                f"{sample['running']}",
                f"{sample['due']:,}",
                f"{sample['late_seconds']:,.0f} s" if sample["late_seconds"] else "",
            )
        console.print(table)
        console.print(
            f"done after {run['seconds']:g} s of {run['plan']['within_seconds']:g}, with {run['most_senders']} senders at most"
            f" (at least {run['least_senders']} are needed), {run['sender_seconds']:,} sender seconds"
        )
    for text in result["missed"]:
        console.print(f"[bold red]missed[/] {text}")


PART = Part(
    name="autoscaling",
    what="senders started and stopped as is wanted: whether a deadline is met, and a throttled provider not helped in vain",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: bool(result["missed"]),
)
