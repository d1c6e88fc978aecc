"""The part `growth`: whether cost grows linearly. The queue is filled first, so that each campaign is as large as it says."""

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

SIZES: Final = (100_000, 1_000_000, 5_000_000)
RATE_WITHIN: Final = 0.10
SENDER_MB: Final = 150.0
PRODUCER_MB: Final = 300.0
DISK_BYTES: Final = 400.0
"""Of nats-server, per queued mail."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="mails of each campaign")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    results = [apart(e2e.measure, Options(mails=mails, prefill=True)) for mails in arguments.sizes]
    return {
        "balanced": all(result["balanced"] for result in results),
        "missed": missed(results),
        "campaigns": results,
    }


def missed(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was aimed at and not reached, in words."""
    first = results[0]
    found = []
    for result in results:
        rate = result["mails_per_second"] / first["mails_per_second"] - 1
        if abs(rate) > RATE_WITHIN:
            found.append(f"{result['mails']:,} mails: the rate differs by {rate:+.0%} from that of {first['mails']:,}")
        for name, most in (("sender", SENDER_MB), ("producer", PRODUCER_MB)):
            if (memory := _highest(result, name)) > most:
                found.append(f"{result['mails']:,} mails: a {name} took {memory:,.0f} MB, more than {most:,.0f}")
        if (disk := _disk(result)) > DISK_BYTES:
            found.append(
                f"{result['mails']:,} mails: {disk:.0f} bytes of disk per queued mail, more than {DISK_BYTES:.0f}"
            )
    return found


def show(result: dict[str, Any], console: Console) -> None:
    """A line for each size."""
    headings = ("mails", "filled /s", "sent /s", "µs CPU filling", "sending", "sender MB", "producer MB", "disk B/mail")
    table = Table(*headings, box=None, header_style="bold")
    for column in table.columns:
        column.justify = "right"
    for one in result["campaigns"]:
        table.add_row(
            f"{one['mails']:,}",
            f"{one['filling']['mails_per_second']:,.0f}",
            f"{one['mails_per_second']:,.0f}",
            f"{one['filling']['cpu_us_per_mail']['total']['total']:.0f}",
            f"{one['cpu_us_per_mail']['total']['total']:.0f}",
            f"{_highest(one, 'sender'):,.0f}",
            f"{_highest(one, 'producer'):,.0f}",
            f"{_disk(one):.0f}",
        )
    console.print(table)
    for text in result["missed"]:
        console.print(f"[bold red]missed[/]: {text}")
    console.print("[bold green]balanced ✓[/]" if result["balanced"] else "[bold red]NOT balanced ✗[/]")


def _highest(result: Mapping[str, Any], kind: str) -> float:
    """MB, of all processes of that kind the most."""
    return max(float(memory) for name, memory in result["peak_memory_mb"].items() if name.startswith(f"{kind}-"))


def _disk(result: Mapping[str, Any]) -> float:
    return float(result["filling"]["nats_disk_bytes_per_mail"]["all"])


PART = Part(
    name="growth",
    what="campaigns of 100,000, 1 and 5 million mails: whether rate, memory and disk per mail stay the same",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not result["balanced"],
)
