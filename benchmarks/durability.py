"""What it costs that a stored message survives more: publishing with each setting, and whole campaigns with two of them.

    python -m benchmarks.durability [--seconds 3] [--recipients 20000] [--pairs 2]

Publishes 300 bytes at a time: one after the other, each awaited; 64 callers at once, as senders do; 500 by one caller, as
producers do (in atomic batches where that spares syncs). Then runs `jetpost demo` with `--sync 2m` and `--sync always`, in turn.
Everything in a folder below the working directory, because /tmp is often memory. Docs: docs/durability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from benchmarks.chaos.cluster import Cluster
from events import streams
from events.bus import Message
from events.errors import RetryLater
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

PAYLOAD = os.urandom(300)
CALLERS = 64
BENCH = {
    "name": "BENCH",
    "subjects": ["bench"],
    "allow_atomic": True,
    "duplicate_window": 180_000_000_000,
    "max_bytes": 2_000_000_000,
}


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="durability-") as name:
        folder = Path(name)
        print(f"load before: {os.getloadavg()[0]:.1f}, fsync of 4 kB: {sync_milliseconds(folder):.2f} ms")
        print(f"{'messages a second':28}{'one by one':>12}{f'{CALLERS} at once':>12}{'500 at once':>16}")
        for setting, storage in (("2m", "file"), ("10s", "file"), ("always", "file"), ("2m", "memory")):
            async with single(folder / f"{setting}-{storage}", setting) as bus:
                await measure(f"{storage}, sync {setting}", bus, storage, 1, arguments.seconds)
        async with Cluster(folder / "cluster") as cluster:
            bus = await connect(cluster.url, replicas=3)
            await measure("file, sync 2m, 3 replicas", bus, "file", 3, arguments.seconds)
            await bus.close()
        campaigns(folder, arguments)
        print(f"load after: {os.getloadavg()[0]:.1f}")


def sync_milliseconds(folder: Path) -> float:
    """Median of appending and syncing a page."""
    took = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(bytes(4_096))
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000


@asynccontextmanager
async def single(folder: Path, sync_interval: str) -> AsyncIterator[NatsBus]:
    async with NatsServer(folder, sync_interval=sync_interval) as server:
        bus = await connect(server.url, sync_always=sync_interval == "always")
        yield bus
        await bus.close()


async def connect(url: str, *, replicas: int = 1, sync_always: bool = False) -> NatsBus:
    return await NatsBus.connect(BusSettings(url=url, replicas=replicas, sync_always=sync_always), name="benchmark")


async def measure(name: str, bus: NatsBus, storage: str, replicas: int, seconds: float) -> None:
    await create(bus, BENCH | {"storage": storage, "num_replicas": replicas})
    numbers = itertools.count()

    def messages(count: int) -> list[Message]:
        return [Message("bench", PAYLOAD, f"abcdefghij{next(numbers):08}/1") for _ in range(count)]

    async def one() -> int:
        await bus.publish("BENCH", messages(1))
        return 1

    async def many() -> int:
        await asyncio.gather(*(one() for _ in range(CALLERS)))
        return CALLERS

    async def batch() -> int:
        await bus.publish("BENCH", messages(streams.ATOMIC_BATCH))
        return streams.ATOMIC_BATCH

    rates = [await rate(work, seconds) for work in (one, many, batch)]
    print(f"{name:28}{rates[0]:12,.0f}{rates[1]:12,.0f}{rates[2]:16,.0f}")


async def create(bus: NatsBus, config: dict[str, object]) -> None:
    """A cluster that has just come up needs a moment."""
    while True:
        try:
            await bus._api("STREAM.CREATE.BENCH", config)  # noqa: SLF001 - a stream like ours, with another storage
        except RetryLater:
            await asyncio.sleep(0.5)
        else:
            return


async def rate(work: Callable[[], Awaitable[int]], seconds: float) -> float:
    await work()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        done += await work()
    return done / (time.perf_counter() - began)


def campaigns(folder: Path, arguments: argparse.Namespace) -> None:
    """Whole campaigns, in turn, so that what else the machine does meets both."""
    rates: dict[str, list[float]] = {"2m": [], "always": []}
    for _ in range(arguments.pairs):
        for setting, found in rates.items():
            report = folder / "report.json"
            options = ["--recipients", str(arguments.recipients), "--sync", setting, "--exit", "--json", str(report)]
            keep = ["--keep", tempfile.mkdtemp(dir=folder)]
            subprocess.run([sys.executable, "-m", "jetpost", "demo", *options, *keep], check=True, capture_output=True)
            found.append(json.loads(report.read_bytes())["mails_per_second"])
    for setting, found in rates.items():
        shown = ", ".join(f"{one:,.0f}" for one in found)
        print(
            f"campaigns of {arguments.recipients:,}, sync {setting:8}: median {statistics.median(found):,.0f} mails/s ({shown})"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure of publishing")
    parser.add_argument("--recipients", type=int, default=20_000, help="of each campaign")
    parser.add_argument("--pairs", type=int, default=2, help="campaigns with each setting")
    uvloop.run(main(parser.parse_args()))
