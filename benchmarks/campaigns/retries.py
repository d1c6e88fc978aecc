"""The part `retries`: whether mails that wait for a retry slow down those that are fresh. With and without them, in turn."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from rich.console import Console

from benchmarks.e2e import part as e2e
from benchmarks.e2e.options import Options
from benchmarks.frame.figures import paired
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part

PAIRS: Final = 3
MAILS: Final = 50_000
WAITING: Final = 300_000
WITHIN: Final = 0.05


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--mails", type=int, default=MAILS, help="in each campaign")
    parser.add_argument("--waiting", type=int, default=WAITING, help="mails that wait for a retry")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    alone, beside = [], []
    for _ in range(arguments.pairs):
        alone.append(apart(e2e.measure, Options(mails=arguments.mails, prefill=True)))
        beside.append(apart(e2e.measure, Options(mails=arguments.mails, prefill=True, waiting=arguments.waiting)))
    return {
        "balanced": all(result["balanced"] for result in (*alone, *beside)),
        "waiting": arguments.waiting,
        **compared(alone, beside),
        "campaigns": {"alone": alone, "beside": beside},
    }


def compared(alone: Sequence[Mapping[str, Any]], beside: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How much rate and CPU per mail change, pair by pair; the medians, and all."""
    rates = paired([one["mails_per_second"] for one in beside], [one["mails_per_second"] for one in alone])
    cpu = paired([_cpu(one) for one in beside], [_cpu(one) for one in alone])
    return {
        "rate_change": round(median(rates.values) - 1, 4),
        "cpu_change": round(median(cpu.values) - 1, 4),
        "rate_changes": [round(ratio - 1, 4) for ratio in rates.values],
        "cpu_changes": [round(ratio - 1, 4) for ratio in cpu.values],
    }


def show(result: dict[str, Any], console: Console) -> None:
    """One line."""
    colour = "green" if abs(result["rate_change"]) < WITHIN else "bold red"
    every = ", ".join(f"{change:+.1%}" for change in result["rate_changes"])
    console.print(
        f"{result['waiting']:,} waiting retries change the rate of fresh mails by"
        f" [{colour}]{result['rate_change']:+.1%}[/] ({every}), CPU per mail by {result['cpu_change']:+.1%}"
    )
    console.print("[bold green]balanced ✓[/]" if result["balanced"] else "[bold red]NOT balanced ✗[/]")


def _cpu(result: Mapping[str, Any]) -> float:
    return float(result["cpu_us_per_mail"]["total"]["total"])


PART = Part(
    name="retries",
    what="whether 300,000 mails that wait for a retry slow down those that are fresh",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not result["balanced"],
)
