"""The part `rollups`."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.table import Table

from analytics.clickhouse.client import INSERT_SETTINGS, connect
from analytics.settings import ClickHouseSettings
from benchmarks.frame.part import Part
from benchmarks.rollups import asking, filling
from benchmarks.rollups.asking import LIMIT_MS, RAW, Watched
from events.memory_bus import MemoryBus

_NEWEST: Final = "big{:04d}"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--compare", type=int, default=1_000_000, help="events of the smaller table beside it; 0: none")
    parser.add_argument("--campaigns", type=int, default=20, help="how many the events are spread over")
    parser.add_argument("--small", type=int, default=2_000, help="small campaigns beside them")
    parser.add_argument("--keep", type=Path, help="keep the data in this folder, and ask again what lies there")


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    results = []
    for events in filter(None, (arguments.compare, arguments.events)):
        with contextlib.ExitStack() as exits:
            folder = arguments.keep / str(events) if arguments.keep else None
            folder = (folder.absolute() if folder else None) or Path(
                exits.enter_context(tempfile.TemporaryDirectory(prefix="jetpost-bench-"))
            )
            results.append(uvloop.run(_measure(folder, events, arguments, console)))
    return {"tables": results, "limit_ms": LIMIT_MS}


async def _measure(folder: Path, events: int, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    settings = ClickHouseSettings(url=f"chdb://{folder}")
    store, bus = Watched(settings), MemoryBus()
    await bus.setup()
    await store.migrate()
    ((has_events,),) = await store.query("has_events", until=2**63)
    filled = 0.0 if has_events else _fill(settings, events, arguments, console)
    ((rows, _),) = await store.query("holdings")
    store.seconds.clear()
    queries, pages = await asking.ask(store, bus, _NEWEST.format(arguments.campaigns - 1))
    await store.close()
    return {
        "events": rows,
        "filled_seconds": round(filled, 1),
        "disk_mb": round(_size(folder) / 1e6),
        "queries": {name: _as_json(timing) for name, timing in queries.items()},
        "pages": {name: _as_json(timing) for name, timing in pages.items()},
    }


def _fill(settings: ClickHouseSettings, events: int, arguments: argparse.Namespace, console: Console) -> float:
    client = connect(settings)
    began = told = time.monotonic()

    def tell(made: int) -> None:
        nonlocal told
        if time.monotonic() - told > 10:
            told = time.monotonic()
            console.print(f"[dim]  {made:,} of {events:,} events[/]")

    blocks = {name: value for name, value in INSERT_SETTINGS.items() if "insert_block_size" not in name}
    if arguments.small:
        filling.fill(client, filling.small(arguments.small), blocks, tell)
    filling.fill(client, filling.big(events, arguments.campaigns), blocks, tell)
    client.close()
    return time.monotonic() - began


def _size(folder: Path) -> int:
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found += Path(place, name).stat().st_size
    return found


def _as_json(timing: asking.Timing) -> dict[str, float]:
    return {"median_ms": timing.median, "p95_ms": timing.p95}


def _show(result: dict[str, Any], console: Console) -> None:
    for kind in ("queries", "pages"):
        table = Table(kind[:-1] if kind == "pages" else "query")
        for measured in result["tables"]:
            table.add_column(f"{measured['events'] / 1e6:,.1f} M events: ms", justify="right")
            table.add_column("p95", justify="right")
        for name in result["tables"][-1][kind]:
            cells = [measured[kind].get(name, {}) for measured in result["tables"]]
            table.add_row(name, *(f"{cell.get(of, 0):.1f}" for cell in cells for of in ("median_ms", "p95_ms")))
        console.print(table)
    for measured in result["tables"]:
        console.print(
            f"{measured['events']:,} events: {measured['disk_mb']:,} MB on disk, made in {measured['filled_seconds']:,.0f} s"
        )


def _failed(result: dict[str, Any]) -> bool:
    return any(
        timing["median_ms"] > LIMIT_MS
        for measured in result["tables"]
        for name, timing in measured["queries"].items()
        if name not in RAW
    )


PART = Part(
    name="rollups",
    what="every question of the dashboard against 100 million events: milliseconds",
    add_options=_add_options,
    run=_run,
    show=_show,
    failed=_failed,
)
