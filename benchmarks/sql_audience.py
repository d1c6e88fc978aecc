"""The part `sql-audience`: an audience in PostgreSQL, read, and cut into batches, beside the same rows in a CSV file."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import audience as files
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from benchmarks.frame.postgres import PostgresServer
from producer.recipients.audience import Audience, AudienceFile, Projection, Reading
from producer.recipients.sql.audience import SqlAudience
from producer.settings import Database
from producer.splitter import Counts, split

_PROJECTION: Final = Projection("email", files.FIELDS, (None, None, "free"))
_QUERY: Final = "SELECT id, email, first_name, city, plan FROM people WHERE signed_up < now()"
_FLAT: Final = 1.2
"""Reading more rows may take so much of the memory that fewer take."""
_FILL: Final = """
INSERT INTO people
SELECT n,
       CASE WHEN n % 1000 = 999 THEN 'person ' ELSE 'person.' END || who || '@' || (ARRAY{domains})[who % {count} + 1],
       'Name' || who % 997, 'City' || who % 89, CASE WHEN who % 5 = 0 THEN 'premium' ELSE '' END,
       timestamptz '2026-01-31' + who * interval '1 second', repeat('x', who % 40)
FROM (SELECT n, CASE WHEN n % 20 = 7 THEN n / 2 ELSE n END AS who FROM generate_series(1, {rows}) AS n) AS numbers
"""


class Measured(NamedTuple):
    rows: int
    seconds: float
    cpu: float
    """Seconds of this process; the database has its own."""
    peak_mb: int


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--compare", type=int, default=1_000_000, help="rows of the smaller table before it; 0: none")
    parser.add_argument("--no-csv", action="store_true", help="leave out the file beside it")


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    results = []
    with PostgresServer() as server, tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        for rows in filter(None, (arguments.compare, arguments.rows)):
            console.print(f"[dim]  filling a table with {rows:,} rows[/]")
            fill(server, rows)
            source = SqlAudience("bench", Database(url=server.url), _QUERY, "id")
            result = {"rows": rows, "reading": apart(read, source)._asdict(), "cutting": apart(cut, source)._asdict()}
            result["going_on"] = [_first_row(source, rows * part // 100) for part in (0, 50, 99)]
            if not arguments.no_csv:
                path = Path(folder) / "audience.csv"
                apart(files.generate, path, rows)
                result["csv"] = apart(cut, AudienceFile(path, "csv"))._asdict()
            results.append(result)
    return {"tables": results}


def fill(server: PostgresServer, rows: int) -> None:
    """The rows that `benchmarks/audience.py` puts into files, or nearly: one in twenty repeats an address."""
    domains = [domain.encode("idna").decode() for domain in files.DOMAINS]
    server.execute(
        "DROP TABLE IF EXISTS people",
        "CREATE TABLE people (id bigint PRIMARY KEY, email text, first_name text, city text, plan text,"
        " signed_up timestamptz, notes text)",
        _FILL.format(domains=domains, count=len(domains), rows=rows),
        "ANALYZE people",
    )


def read(source: Audience) -> Measured:
    return _measured(lambda: Reading(source, _PROJECTION))


def cut(source: Audience) -> Measured:
    def cutting() -> Iterable[object]:
        reading = Reading(source, _PROJECTION)
        place = reading.place if isinstance(source, SqlAudience) else None
        yield from split("bench", reading, counts, lambda _: None, place=place)

    counts = Counts()
    measured = _measured(cutting)
    return measured._replace(rows=counts.rows)


def _measured(work: Callable[[], Iterable[object]]) -> Measured:
    began, cpu = time.perf_counter(), time.process_time()
    rows = sum(1 for _ in work())
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return Measured(rows, seconds, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def _first_row(source: SqlAudience, after: int) -> float:
    """Seconds until it is there, for a launch that goes on behind a key."""
    began = time.perf_counter()
    next(iter(Reading(source, _PROJECTION, after=after)))
    return round(time.perf_counter() - began, 3)


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table("rows", "what", *(("rows/s", "µs CPU a row", "MB at most")))
    for column in (table.columns[0], *table.columns[2:]):
        column.justify = "right"
    for measured in result["tables"]:
        for name in filter(measured.get, ("reading", "cutting", "csv")):
            one = Measured(**measured[name])
            what = {"reading": "read", "cutting": "read and cut", "csv": "CSV, read and cut"}[name]
            figures = (f"{one.rows / one.seconds:,.0f}", f"{one.cpu / one.rows * 1e6:.1f}", f"{one.peak_mb}")
            table.add_row(f"{measured['rows']:,}", what, *figures)
    console.print(table)
    for measured in result["tables"]:
        begun = ", ".join(f"{seconds:.2f}" for seconds in measured["going_on"])
        console.print(
            f"{measured['rows']:,} rows: the first is there after {begun} s, from the beginning, the middle, the end"
        )


def _failed(result: dict[str, Any]) -> bool:
    peaks = [measured["reading"]["peak_mb"] for measured in result["tables"]]
    return peaks[-1] > peaks[0] * _FLAT


PART = Part(
    name="sql-audience",
    what="an audience in PostgreSQL: rows a second, memory, and how soon a launch goes on",
    add_options=_add_options,
    run=_run,
    show=_show,
    failed=_failed,
)
