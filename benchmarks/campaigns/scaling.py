"""The part `scaling`: whether more senders send more, to a relay so far away that nobody is short of CPU."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.e2e import part as e2e
from benchmarks.e2e.options import Options
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part

SENDERS: Final = (1, 2, 4)
LATENCY_MS: Final = 50.0
MAILS_EACH: Final = 8_000
"""For each sender, so that every campaign takes about as long."""
NEAR_LINEAR: Final = 0.9
"""Of the rate of one sender, times their number."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--senders", type=int, nargs="+", default=list(SENDERS), help="sender processes, each in turn")
    parser.add_argument("--mails-each", type=int, default=MAILS_EACH, help="mails for each sender")
    parser.add_argument("--latency-ms", type=float, default=LATENCY_MS, help="before every reply of the sink")
    parser.add_argument(
        "--connections", type=int, help="SMTP sessions of each sender; the default is that of the settings"
    )


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    results = [
        apart(
            e2e.measure,
            Options(
                mails=arguments.mails_each * senders,
                senders=senders,
                latency_ms=arguments.latency_ms,
                connections=arguments.connections,
                prefill=True,
            ),
        )
        for senders in arguments.senders
    ]
    return {
        "balanced": all(result["balanced"] for result in results),
        "efficiency": efficiency(results),
        "campaigns": results,
    }


def efficiency(results: Sequence[Mapping[str, Any]]) -> list[float]:
    """The rate per sender, as a share of that in the first campaign."""
    each = [result["mails_per_second"] / result["options"]["senders"] for result in results]
    return [round(rate / each[0], 3) for rate in each]


def show(result: dict[str, Any], console: Console) -> None:
    """A line for each number of senders."""
    table = Table("senders", "mails/s", "of linear", box=None, header_style="bold")
    for column in table.columns:
        column.justify = "right"
    for one, share in zip(result["campaigns"], result["efficiency"], strict=True):
        colour = "green" if share >= NEAR_LINEAR else "bold red"
        table.add_row(f"{one['options']['senders']}", f"{one['mails_per_second']:,.0f}", f"[{colour}]{share:.0%}[/]")
    console.print(table)
    console.print("[bold green]balanced ✓[/]" if result["balanced"] else "[bold red]NOT balanced ✗[/]")


PART = Part(
    name="scaling",
    what="1, 2 and 4 senders to a sink 50 ms away: whether the rate grows with them",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not result["balanced"],
)
