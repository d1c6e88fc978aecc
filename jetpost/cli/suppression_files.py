"""`jetpost suppression import` and `export`: the list as CSV files, ours and those of ESPs."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Annotated, Final, NamedTuple

import typer
from rich.live import Live

from events import ids, suppression_book
from events.suppression import LATEST, REASONS, Entry, Hashing, Reason, Store
from events.suppression_list import SuppressionList
from jetpost import suppression_rows
from jetpost.cli.choosing import calendar_time, plural
from jetpost.cli.state import Fault, bus, effective, err, out, run
from jetpost.suppression_rows import COLUMNS, Columns, Defaults
from producer.recipients.audience import format_of
from producer.recipients.csv_reader import CsvReader
from producer.recipients.rejects import RejectsFile
from producer.recipients.rows import Rejected

ListName = Annotated[str, typer.Option("--list", "-l", help="For the campaigns of this list; without it for all.")]
OnlyList = Annotated[
    str | None, typer.Option("--list", "-l", help="Only of this list; '' is the one for all campaigns.")
]
_BY_HAND: Final[tuple[Reason, ...]] = ("manual", "unsubscribe", "complaint", "hard_bounce", "soft_bounce")
Why = Annotated[str, typer.Option("--reason", metavar="REASON", help=f"Why: {', '.join(_BY_HAND)}.")]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="Until when: 12h, 90d or 4w from now, or 2027-03-01; without it for ever."),
]

_FORMS: Final = "12h, 90d or 4w from now, or a date to come such as 2027-03-01 (UTC)"
_REPORT_EVERY: Final = 5_000
_LATER: Final = re.compile(r"(\d+)([hdw])")
_SECONDS: Final = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def hashing() -> Hashing:
    """That of the settings. Raises `SecretTooShort`."""
    return Hashing(effective().settings.suppression.hash_secret)


def reason_by_hand(word: str) -> Reason:
    """Raises `Fault` for what a person cannot give as the reason."""
    return known_reason(word, _BY_HAND)


def known_reason(word: str, known: Sequence[Reason] = REASONS) -> Reason:
    """Raises `Fault`, which lists those that there are."""
    for reason in known:
        if reason == word:
            return reason
    raise Fault(f"{word!r} is no reason; there are {', '.join(known)}")


def until(expires: str | None, now: float) -> float | None:
    """Unix seconds; None: for ever. Raises `Fault`."""
    if expires is None:
        return None
    at = _moment(expires, now)
    if at <= now:
        raise Fault(f"--expires {expires} has passed: say {_FORMS}")
    if at > LATEST:
        raise Fault(f"--expires {expires} is too far away: leave it out for an entry that holds for ever")
    return at


def _moment(expires: str, now: float) -> float:
    if later := _LATER.fullmatch(expires):
        return now + int(later[1]) * _SECONDS[later[2]]
    try:
        return calendar_time(expires)
    except ValueError:
        raise Fault(f"--expires {expires} is no time: say {_FORMS}") from None


def require_list(name: str) -> None:
    """Raises `Fault` for what cannot be the name of a list."""
    if name and not ids.is_campaign_id(name):
        raise Fault(f"{name!r} cannot be a list: lower-case letters, digits and inner hyphens, at most 40")


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, also .gz or .zst.", exists=True, dir_okay=False)],
    column: Annotated[str | None, typer.Option(help="The column with the addresses, where none is called so.")] = None,
    list_: ListName = "",
    reason: Why = "manual",
    expires: Expires = None,
    source: Annotated[str | None, typer.Option(help="Who says so; by default the file's name.")] = None,
    encoding: Annotated[str, typer.Option(help="Of the file.")] = "utf-8",
) -> None:
    """Add everybody in a CSV file: an export of this command, or of an ESP.

    Columns `list`, `reason`, `source`, `added_at` and `expires_at` of the file are used where there are some, else the options.
    Rows that cannot be used stop nothing; they go into `<file>.rejects.csv`, and the exit code is 1. Who is on the list already
    is passed over, so that an import that was interrupted is simply started again.

    `jetpost suppression import unsubscribed.csv --reason unsubscribe --list news`
    """
    now = time.time()
    require_list(list_)
    defaults = Defaults(list_, reason_by_hand(reason), source or f"import {file.name}", now, until(expires, now))
    rejects = file.with_name(f"{file.name}.rejects.csv")
    with closing(CsvReader(file, format_of(file)[1], encoding)) as reader:
        try:
            columns = Columns.of(reader.columns, column)
        except suppression_rows.WrongCell as error:
            raise Fault(f"{file}: {error}") from None
        ours = hashing()
        rows = suppression_rows.read(reader, columns, defaults, ours)
        with RejectsFile(rejects) as rejected:
            counted = run(_store(rows, rejected, ours))
    _say_what_was_imported(file, counted, rejects)


class _Imported(NamedTuple):
    rows: int = 0
    stored: int = 0
    known: int = 0
    rejected: int = 0


async def _store(rows: Iterator[Entry | Rejected], rejects: RejectsFile, ours: Hashing) -> _Imported:
    counted = _Imported()
    async with bus() as connected:
        known = SuppressionList(connected, ours, time.time)
        await known.catch_up()
        store = Store(connected, ours)
        with Live("", console=out, auto_refresh=False, transient=True) as live:
            for row in rows:
                if isinstance(row, Rejected):
                    rejects.write(row)
                    counted = counted._replace(rejected=counted.rejected + 1)
                elif known.learn(row):
                    await store.put(row)
                    counted = counted._replace(stored=counted.stored + 1)
                else:
                    counted = counted._replace(known=counted.known + 1)
                counted = counted._replace(rows=counted.rows + 1)
                if counted.rows % _REPORT_EVERY == 0:
                    live.update(f"{counted.rows:,} rows read, {plural(counted.rejected, 'row')} unusable", refresh=True)
        await store.finish()
    return counted


def _say_what_was_imported(file: Path, counted: _Imported, rejects: Path) -> None:
    out.print(
        f"{file}: {counted.stored:,} of {plural(counted.rows, 'row')} added, {counted.known:,} were on the list already"
    )
    if counted.rejected:
        err.print(f"[yellow]{plural(counted.rejected, 'row')} could not be used[/]: see {rejects}")
        raise typer.Exit(1)


def export(
    to_file: Annotated[Path | None, typer.Option("--output", "-o", help="A file; without it standard output.")] = None,
    list_: OnlyList = None,
) -> None:
    """Write every entry in force as CSV, which `import` reads. Hashes stand in place of addresses that are kept nowhere.

    `jetpost suppression export --output suppressed.csv`
    """
    with _output(to_file) as file:
        number = run(_write(file, list_))
    if to_file:
        out.print(f"{to_file}: {number:,} {'entry' if number == 1 else 'entries'}")


async def _write(file: IO[str], list_: str | None) -> int:
    ours, number = hashing(), 0
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    async with bus() as connected:
        async for entry in suppression_book.standing(connected, ours, time.time):
            if list_ in (None, entry.list):
                writer.writerow(suppression_rows.cells(entry, ours))
                number += 1
    return number


@contextmanager
def _output(to_file: Path | None) -> Iterator[IO[str]]:
    if to_file is None:
        yield sys.stdout
        return
    with to_file.open("w", encoding="utf-8", newline="") as file:
        yield file
