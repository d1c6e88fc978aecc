"""What the runs came to: as lines while they go, as a table at the end, and as JSON to add to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.chaos import catalogue
from benchmarks.chaos.options import Options


class Run(msgspec.Struct, frozen=True, kw_only=True):
    fault: str
    seed: int
    number: int
    mails: int
    strikes: int
    lost: int
    duplicated: int
    """Mails that the simulator took more than once."""
    silently_duplicated: int
    """Of these, the ones that nobody ever said to be in doubt."""
    in_doubt: int
    in_doubt_at_most: int
    """What may have been on the wire."""
    balanced: bool
    clickhouse_equal: bool
    seconds: float
    """From launch until the campaign was finished."""
    broken: list[str]
    what_happened: list[str]
    folder: str
    ack_wait_seconds: float
    versions: dict[str, str]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of a fault together."""

    fault: str
    what: str
    runs: int
    strikes: int
    mails: int
    lost: int
    duplicated: int
    silent: int
    in_doubt: int
    in_doubt_at_most: int
    balanced: int
    clickhouse_equal: int
    seconds: float
    """The mean."""


def rows(runs: Sequence[Run]) -> list[Row]:
    """In the order of the catalogue."""
    found = []
    for fault in catalogue.FAULTS:
        mine = [run for run in runs if run.fault == fault.name]
        if mine:
            found.append(_row(fault.name, fault.what, mine))
    return found


def _row(fault: str, what: str, mine: Sequence[Run]) -> Row:
    def total(name: str) -> int:
        return sum(getattr(run, name) for run in mine)

    return Row(
        fault=fault,
        what=what,
        runs=len(mine),
        strikes=total("strikes"),
        mails=total("mails"),
        lost=total("lost"),
        duplicated=total("duplicated"),
        silent=total("silently_duplicated"),
        in_doubt=total("in_doubt"),
        in_doubt_at_most=total("in_doubt_at_most"),
        balanced=total("balanced"),
        clickhouse_equal=total("clickhouse_equal"),
        seconds=sum(run.seconds for run in mine) / len(mine),
    )


def cells(row: Row) -> list[str]:
    """The row as people read it, without its name."""
    return [
        f"{row.runs}",
        f"{row.strikes:,}",
        f"{row.mails:,}",
        f"{row.lost:,}",
        f"{row.duplicated:,}" + (f" ({row.silent} silently)" if row.silent else ""),
        f"{row.in_doubt:,} of {row.in_doubt_at_most:,}",
        f"{row.balanced} of {row.runs}",
        f"{row.clickhouse_equal} of {row.runs}",
        f"{row.seconds:.1f}",
    ]


_WIDTH = 140
"""Of the table where it goes to a file."""

HEADINGS = ("runs", "strikes", "mails", "lost", "duplicated", "in doubt", "balanced", "ClickHouse equal", "seconds")


def tell(run: Run) -> None:
    """One line, as soon as a run is over."""
    verdict = "; ".join(run.broken) or "ok"
    print(
        f"{run.fault:20} run {run.number}: {run.seconds:6.1f} s, lost {run.lost}, duplicated {run.duplicated},"
        f" in doubt {run.in_doubt} of {run.in_doubt_at_most}: {verdict}   [{', '.join(run.what_happened)}]",
        flush=True,
    )


def show(runs: Sequence[Run], options: Options, seconds: float) -> None:
    """The table."""
    table = Table("fault", *HEADINGS, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows(runs):
        table.add_row(row.fault, *cells(row))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
    broken = sum(bool(run.broken) for run in runs)
    console.print(f"\n{len(runs)} runs in {seconds:.0f} s, seed {options.seed}; {broken} broke a promise")


def append(file: Path, run: Run) -> None:
    """Add a run to a file of runs."""
    known = read(file) if file.exists() else []
    file.write_bytes(msgspec.json.format(msgspec.json.encode([*known, run])) + b"\n")


def read(file: Path) -> list[Run]:
    return msgspec.json.decode(file.read_bytes(), type=list[Run])
