"""The part `suppression`: what a large suppression list costs a sender: memory, time to load, time to look somebody up.

Entries are stored as `jetpost suppression import` stores them, on an embedded nats-server in a temporary folder; another process
then loads them as a sender does. Costs are CPU time of that process.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console

from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from benchmarks.frame.processes import peak_memory
from events import streams, suppression_book
from events.memory_bus import MemoryBus
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.suppression import Entry, Hashing, Store
from events.suppression_list import SuppressionList

ENTRIES: Final = 5_000_000
LOOKED_UP: Final = 200_000
PROMISED_BYTES: Final = 500_000_000
"""Of a sender that knows 5 million entries."""
_ROUNDS: Final = 5
_LOOK_SECONDS: Final = 0.001
_TURN: Final = 16
"""Mails that a session takes at a time."""


def address(number: int) -> str:
    return f"person.{number}@example{number % 97}.com"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--hashed", action="store_true", help="keep keyed hashes instead of addresses")


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    hashing = "correct horse battery staple" if arguments.hashed else ""
    return uvloop.run(_measure(arguments.entries, hashing, console))


async def _measure(entries: int, secret: str, console: Console) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder)) as server:
            console.print(f"{entries:,} entries are stored …")
            stored = await asyncio.to_thread(apart, store, server.url, entries, secret)
            console.print("and loaded …")
            loaded = await asyncio.to_thread(apart, load, server.url, entries, secret)
            console.print("and compacted …")
            compacted = await asyncio.to_thread(apart, compact, server.url, secret)
    return {"entries": entries, "hashed": bool(secret), **stored, **loaded, **compacted}


def store(url: str, entries: int, secret: str) -> dict[str, Any]:
    return uvloop.run(_store(url, entries, secret))


async def _store(url: str, entries: int, secret: str) -> dict[str, Any]:
    bus = await NatsBus.connect(BusSettings(url=url), name="benchmark")
    await bus.setup()
    began, cpu = time.perf_counter(), time.process_time()
    store, now = Store(bus, Hashing(secret)), time.time()
    for number in range(entries):
        await store.put(Entry(address(number), "unsubscribe", now, "import people.csv"))
    await store.finish()
    taken = {"store_seconds": time.perf_counter() - began, "store_us": (time.process_time() - cpu) / entries * 1e6}
    state = await bus.stream_state(streams.SUPPRESSION.name)
    await bus.close()
    return {**taken, "messages": state.messages, "stream_bytes": state.bytes}


def load(url: str, entries: int, secret: str) -> dict[str, Any]:
    return uvloop.run(_load(url, entries, secret))


async def _load(url: str, entries: int, secret: str) -> dict[str, Any]:
    bus = await NatsBus.connect(BusSettings(url=url), name="benchmark")
    hashing = Hashing(secret)
    known = SuppressionList(bus, hashing, time.time)
    gc.freeze()
    before = _resident()
    waits: list[float] = []
    watching = asyncio.create_task(_watch(waits))
    began, cpu = time.perf_counter(), time.process_time()
    await known.catch_up()
    loading = {"load_seconds": time.perf_counter() - began, "load_us": (time.process_time() - cpu) / entries * 1e6}
    watching.cancel()
    assert known.count == entries, "everybody is known"
    gc.collect()
    memory = {"process_bytes": _resident(), "list_bytes": _resident() - before, "peak_bytes": peak_memory(os.getpid())}
    await bus.close()
    ordered = sorted(waits)
    return {
        **loading,
        **memory,
        "longest_wait_ms": ordered[-1] * 1e3,
        "wait_ms_p99": ordered[len(ordered) * 99 // 100] * 1e3,
        **_lookups(known, entries),
    }


async def _watch(waits: list[float]) -> None:
    """How long a task of the same event loop, that asks to go on every millisecond, waits for work that gives no way to others:
    in CPU time, so that other processes do not count."""
    while True:
        began = time.process_time()
        await asyncio.sleep(_LOOK_SECONDS)
        waits.append(time.process_time() - began)


def _lookups(known: SuppressionList, entries: int) -> dict[str, float]:
    choose = random.Random(7).sample
    strangers = [address(entries + number) for number in range(LOOKED_UP)]
    members = [address(number) for number in choose(range(entries), min(LOOKED_UP, entries))]
    keys = [known.hashing.key(one) for one in strangers]
    table = known.known.tables[""]
    nobody = SuppressionList(MemoryBus(), known.hashing, time.time)
    turns = range(LOOKED_UP // _TURN)
    return {
        "hash_us": _best(lambda: [known.hashing.key(one) for one in strangers], LOOKED_UP),
        "lookup_us": _best(lambda: [table.get(key) for key in keys], LOOKED_UP),
        "stranger_us": _best(lambda: known.among("news", strangers), LOOKED_UP),
        "member_us": _best(lambda: known.among("news", members), len(members)),
        "empty_us_a_turn": _best(lambda: [nobody.among("news", strangers) for _ in turns], len(turns)),
    }


def _best(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken) / times * 1e6


def compact(url: str, secret: str) -> dict[str, Any]:
    return uvloop.run(_compact(url, secret))


async def _compact(url: str, secret: str) -> dict[str, Any]:
    bus = await NatsBus.connect(BusSettings(url=url), name="benchmark")
    began, cpu = time.perf_counter(), time.process_time()
    done = await suppression_book.compact(bus, Hashing(secret), time.time)
    taken, used = time.perf_counter() - began, time.process_time() - cpu
    await bus.close()
    return {
        "compact_seconds": taken,
        "compact_us": used / done.entries * 1e6,
        "compact_peak_bytes": peak_memory(os.getpid()),
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _broken(result: dict[str, Any]) -> bool:
    return bool(result["entries"] <= ENTRIES and result["peak_bytes"] > PROMISED_BYTES)


def show(result: dict[str, Any], console: Console) -> None:
    mega = {name: value / 1e6 for name, value in result.items() if name.endswith("_bytes")}
    colour = "bold red" if _broken(result) else "green"
    lines: Sequence[str] = (
        f"{result['entries']:,} entries: [{colour}]{mega['process_bytes']:,.0f} MB[/] in the process, of them"
        f" {mega['list_bytes']:,.0f} for the list ({mega['peak_bytes']:,.0f} at the highest);"
        f" {mega['stream_bytes']:,.0f} MB in {result['messages']:,} messages",
        f"stored in {result['store_seconds']:.1f} s ({result['store_us']:.2f} µs CPU each), loaded in"
        f" {result['load_seconds']:.1f} s ({result['load_us']:.2f} µs); meanwhile the event loop waited"
        f" {result['wait_ms_p99']:.1f} ms (p99), {result['longest_wait_ms']:.1f} ms at most",
        f"looked up in {result['lookup_us']:.2f} µs, and {result['hash_us']:.2f} µs for the hash: a stranger"
        f" {result['stranger_us']:.2f} µs in all, a member {result['member_us']:.2f}; with nobody on a list"
        f" {result['empty_us_a_turn']:.2f} µs a turn of {_TURN} mails",
        f"compacted in {result['compact_seconds']:.1f} s ({result['compact_us']:.2f} µs), {mega['compact_peak_bytes']:,.0f} MB",
    )
    for line in lines:
        console.print(line)


PART = Part(
    name="suppression",
    what="what a suppression list of 5 million costs a sender: memory, loading, looking up",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=_broken,
)
