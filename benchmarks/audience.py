"""Reads, checks, deduplicates and cuts a generated audience: rows a second, and memory at its highest.

    python -m benchmarks.audience --rows 10000000 [--format csv|ndjson|parquet] [--launch] [--json FILE]

One row in twenty repeats an address, one in a thousand is broken. Without `--launch` nothing is published; with it the whole of
`jetpost send` is measured, in the process that would run it, against an embedded nats-server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from producer.campaign.check import check
from producer.launch import launch
from producer.recipients import audience
from producer.recipients.audience import AudienceFile, Projection
from producer.settings import ProducerSettings
from producer.splitter import Counts, split

DOMAINS = ("gmail.com", "hotmail.com", "yahoo.com", "icloud.com", "example.com", "example.org", "bücher.example")
FIELDS = ("first_name", "city", "plan")
COLUMNS = ("email", *FIELDS, "signed_up", "notes")


def records(rows: int) -> Iterator[tuple[str, ...]]:
    choose = random.Random(7).randrange
    for number in range(rows):
        of = choose(number) if number and choose(20) == 0 else number
        domain = DOMAINS[of % len(DOMAINS)]
        address = f"person.{of}@{domain}" if number % 1_000 != 999 else f"person {of}@{domain}"
        yield (
            address,
            f"Name{of % 997}",
            f"City{of % 89}",
            "premium" if of % 5 == 0 else "",
            "2026-01-31",
            "x" * (of % 40),
        )


def generate(path: Path, rows: int) -> None:
    if path.suffix == ".parquet":
        _generate_parquet(path, rows)
        return
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".ndjson":
            file.writelines(f"{json.dumps(dict(zip(COLUMNS, row, strict=True)))}\n" for row in records(rows))
        else:
            file.write(",".join(COLUMNS) + "\n")
            file.writelines(",".join(row) + "\n" for row in records(rows))


def _generate_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    chunk: list[tuple[str, ...]] = []
    with parquet.ParquetWriter(path, schema) as writer:
        for row in records(rows):
            chunk.append(row)
            if len(chunk) == 50_000:
                writer.write_table(pa.table(list(map(list, zip(*chunk, strict=True))), schema=schema))
                chunk.clear()
        if chunk:
            writer.write_table(pa.table(list(map(list, zip(*chunk, strict=True))), schema=schema))


def measure(path: Path) -> dict[str, Any]:
    format_, compression = audience.format_of(path)
    assert format_ is not None
    rows = audience.read(AudienceFile(path, format_, compression), Projection("email", FIELDS, (None, None, "free")))
    counts, stored, batches = Counts(), 0, 0
    began, cpu = time.perf_counter(), time.process_time()
    for batch in split("bench", rows, counts, lambda _: None):
        stored += len(batch.recipients)
        batches += 1
    seconds = time.perf_counter() - began
    return {
        "format": format_,
        "rows": counts.rows,
        "planned": counts.planned,
        "duplicates": counts.duplicates,
        "rejected": counts.rejected,
        "batches": batches,
        "seconds": round(seconds, 2),
        "rows_per_second": round(counts.rows / seconds),
        "cpu_us_per_row": round((time.process_time() - cpu) / counts.rows * 1e6, 2),
        "bytes_per_recipient_stored": round(stored / max(counts.planned, 1), 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


CAMPAIGN = """\
id = "bench"
name = "Bench"
from = "ann@example.com"
subject = "Hello {{{{ first_name }}}}"
html = "mail.html"
audience = "{audience}"
[defaults]
plan = "free"
"""
HTML = "<p>{{ first_name }} in {{ city }}, {{ plan }}</p>"


async def measure_launch(path: Path) -> dict[str, Any]:
    (path.parent / "campaign.toml").write_text(CAMPAIGN.format(audience=path.name))
    (path.parent / "mail.html").write_text(HTML)
    checked = check(path.parent / "campaign.toml", None, time.time())
    settings = ProducerSettings(link_secret="of the benchmark")
    async with NatsServer(path.parent / "nats") as server:
        bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
        await bus.setup()
        began, cpu = time.perf_counter(), time.process_time()
        done = await launch(bus, checked, settings, clock=time.time, on_progress=lambda _: None)
        seconds = time.perf_counter() - began
        await bus.close()
    rows = done.planned + done.duplicates + done.rejected
    return {
        "rows": rows,
        "planned": done.planned,
        "duplicates": done.duplicates,
        "rejected": done.rejected,
        "batches": done.batches,
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows / seconds),
        "cpu_us_per_row": round((time.process_time() - cpu) / rows * 1e6, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _in_a_process_of_its_own(work: Callable[..., None], *arguments: object) -> None:
    """What it takes in memory is not ours."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=audience.FORMATS, default="csv")
    parser.add_argument("--launch", action="store_true", help="publish to an embedded nats-server")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"audience.{options.format}"
        _in_a_process_of_its_own(generate, path, options.rows)
        result = asyncio.run(measure_launch(path)) if options.launch else measure(path)
    for name, value in result.items():
        print(f"{name:28}{value:>16}")
    if options.json:
        options.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
