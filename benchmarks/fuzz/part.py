"""Fuzzing as a command: so many cases, from a seed, over every parser that reads what strangers send.

    python -m benchmarks fuzz --cases 1000000
    python -m benchmarks fuzz --seed 7 --first 500000 --cases 500000      goes on
    python -m benchmarks fuzz --seed 7 --first 123456 --cases 1           one case again

A case is made from the seed and its number alone, so a failure comes again with both. What fails is made as small as it can be,
and written to a folder.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.frame.part import Part
from benchmarks.fuzz import crew, running
from benchmarks.fuzz.case import LIMIT_SECONDS, LIMIT_SECONDS_A_MEGABYTE
from benchmarks.fuzz.crew import Tally
from benchmarks.fuzz.running import Failure

CASES: Final = 100_000
_SHOWN_EVERY_SECONDS: Final = 10.0
_SHOWN_BYTES: Final = 300


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to go on or to see one again")
    parser.add_argument(
        "--parser", action="append", default=[], help="only this one, such as 'bounce mail'; may be repeated"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder for what fails")


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    names = tuple(arguments.parser)
    unknown = set(names) - {parser.name for parser in running.parsers()}
    if unknown:
        known = ", ".join(parser.name for parser in running.parsers())
        raise SystemExit(f"there is no parser {', '.join(sorted(unknown))}; there are {known}")
    found = _Found(arguments, console)
    began = time.monotonic()
    try:
        for news in crew.work(arguments.seed, arguments.first, arguments.cases, names, arguments.processes):
            found.add(news)
    except KeyboardInterrupt:
        console.print(f"interrupted; go on with --seed {arguments.seed} --first {found.reached}")
    seconds = time.monotonic() - began
    return {
        "seed": arguments.seed,
        "first": arguments.first,
        "cases": found.cases,
        "seconds": round(seconds, 1),
        "cases_per_second": round(found.cases / seconds, 1),
        "parsers": crew.to_json(found.tallies),
        "failures": [failure._asdict() | {"given": _spelled(failure)} for failure in found.failures.values()],
    }


class _Found:
    """What has come so far."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self._arguments = arguments
        self._console = console
        self._began = self._shown = time.monotonic()
        self.tallies: dict[str, Tally] = {}
        self.failures: dict[tuple[str, str], Failure] = {}
        self.reached: int = arguments.first

    @property
    def cases(self) -> int:
        return sum(tally.cases for tally in self.tallies.values())

    def add(self, news: crew.News) -> None:
        self.reached = max(self.reached, news.reached)
        for name, tally in news.tallies.items():
            self.tallies.setdefault(name, Tally()).add(tally)
        for failure in news.failures:
            if self.failures.setdefault((failure.parser, failure.fault), failure) is failure:
                _tell(failure, self._arguments, self._console)
        now = time.monotonic()
        if now - self._shown > _SHOWN_EVERY_SECONDS:
            self._shown = now
            rate = self.cases / (now - self._began)
            self._console.print(f"{self.cases:,} cases, {rate:,.0f}/s, {len(self.failures)} failures")


def _tell(failure: Failure, arguments: argparse.Namespace, console: Console) -> None:
    arguments.failures.mkdir(parents=True, exist_ok=True)
    file = arguments.failures / f"{re.sub(r'[^a-z]+', '-', failure.parser)}-{arguments.seed}-{failure.case}.json"
    document = failure._asdict() | {"seed": arguments.seed, "given": _spelled(failure)}
    file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    console.print(f"[red]{failure.parser} {failure.fault}[/]: --seed {arguments.seed} --first {failure.case}, {file}")
    console.print(failure.trace, markup=False)
    for part in failure.given:
        console.print(f"  {part[:_SHOWN_BYTES]!r}", markup=False)


def _spelled(failure: Failure) -> list[str]:
    return [base64.b64encode(part).decode() for part in failure.given]


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table(
        f"{result['cases']:,} cases in {result['seconds']:,.0f} s, seed {result['seed']}",
        "cases",
        "µs CPU each",
        "slowest, ms",
        "which",
        box=None,
        header_style="bold",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for one in result["parsers"]:
        each, slowest = one["seconds"] / one["cases"] * 1e6, one["slowest_seconds"] * 1e3
        table.add_row(one["parser"], f"{one['cases']:,}", f"{each:,.0f}", f"{slowest:,.0f}", f"{one['slowest_case']}")
    console.print(table)
    limits = f"{LIMIT_SECONDS:g} s and {LIMIT_SECONDS_A_MEGABYTE:g} s for each megabyte"
    console.print(f"{result['cases_per_second']:,.0f} cases a second; who takes more than {limits} hangs")
    console.print(
        f"{len(result['failures'])} failures" if result["failures"] else "none crashed, hung or broke a promise"
    )


def _failed(result: dict[str, Any]) -> bool:
    return bool(result["failures"])


PART: Final = Part(
    name="fuzz",
    what="what strangers send, mutated, through every parser of it: none crashes or hangs",
    add_options=_add_options,
    run=_run,
    show=_show,
    failed=_failed,
    calibrated=False,
)
