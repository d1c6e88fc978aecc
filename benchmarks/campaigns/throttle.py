"""The part `throttle`: whether several senders keep to one limit together while some of them join, leave, and are killed.

A pool has a rate, and the lane of one mailbox provider a lower one. The simulator takes the mails, and writes down when. No
second may have more than rate and burst, however the seconds are cut; and on the whole no more than a twentieth of the rate may
go unused, as there is mail enough all the time. It takes two cores that are not busy otherwise: tokens that a process gets no CPU
to spend lapse.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import sending
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from events import providers, streams
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.providers import Provider
from jetpost.logs import LogSettings
from jetpost.settings import Settings, to_environment
from jetpost.simulator import client as simulator
from jetpost.supervisor import Child, Component
from sender.settings import Relay, SenderSettings
from sender.throttle.limits import Limits

WITHIN: Final = 0.05
"""So much of the rate may go unused."""
LANE: Final[Provider] = "gmail"
_RESOLUTION: Final = 100
"""Arrivals are counted in hundredths of a second."""
_START_SECONDS: Final = 6.0
_BEYOND_EQUAL: Final = 1.25

Arrivals = Mapping[int, int]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    rate: float = 500.0
    burst: float = 125.0
    lane_rate: float = 80.0
    lane_burst: float = 20.0
    step_seconds: float = 4.0
    """Between one event and the next."""


STEPS: Final = (
    ("join", "sender-2"),
    ("join", "sender-3"),
    ("join", "sender-4"),
    ("kill", "sender-1"),
    ("leave", "sender-2"),
    ("kill", "sender-3"),
    ("join", "sender-2"),
    ("kill", "sender-4"),
    ("kill", "sender-2"),
)
"""What happens to the four, one after the other. Who is killed (kill -9) is started again half a second later."""


def measure(options: Options) -> dict[str, Any]:
    """Raises `SystemExit` where there was not enough mail."""
    return uvloop.run(_measure(options))


async def _measure(options: Options) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with NatsServer(folder / "nats") as server, _simulator(folder) as taker:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
            await sending.prepare(bus, _enough(options), {LANE: "gmail.com"})
            settings = _settings(folder, server.url, int(taker.addresses["smtp"]), options)
            began, ended = await _run_senders(folder, settings, options.step_seconds)
            left = [await bus.consumer_state("MAIL", lane.name) for lane in streams.lanes(sending.CAMPAIGN, "default")]
            await bus.close()
            arrivals = await simulator.arrivals(int(taker.addresses["control"]))
    if not all(one is not None and one.waiting for one in left):
        raise SystemExit("a lane had no mails left: the limits were not what held the senders")
    everything: Counter[int] = sum((Counter(one) for one in arrivals.values()), Counter())
    return {
        "options": msgspec.to_builtins(options),
        "steps": [" ".join(step) for step in STEPS],
        "pool": figures(everything, Limits(rate=options.rate, burst=options.burst), began, ended),
        "lane": figures(arrivals[LANE], Limits(rate=options.lane_rate, burst=options.lane_burst), began, ended),
    }


def _enough(options: Options) -> int:
    """More than may be sent meanwhile, and what senders hold. Processes take their time to start, and all lanes but one go beyond
    an equal part."""
    seconds = options.step_seconds * (len(STEPS) + 1) + _START_SECONDS * len(STEPS)
    held = SenderSettings().prefetch_mails * len(providers.PROVIDERS) * len({name for _, name in STEPS})
    return int(options.rate * seconds * _BEYOND_EQUAL) + held


def _settings(folder: Path, nats: str, port: int, options: Options) -> Settings:
    relay = Relay(
        port=port,
        limits=Limits(rate=options.rate, burst=options.burst),
        lanes={LANE: Limits(rate=options.lane_rate, burst=options.lane_burst)},
    )
    return Settings(
        data_dir=folder,
        nats=BusSettings(url=nats),
        sender=SenderSettings(pools={"default": relay}),
        log=LogSettings(format="json"),
    )


async def _run_senders(folder: Path, settings: Settings, step_seconds: float) -> tuple[float, float]:
    """From when to when it was measured, Unix seconds: without the start and the end."""
    senders: dict[str, Child] = {}
    try:
        await _do(senders, "join", "sender-1", folder, settings)
        await asyncio.sleep(1.0)
        began = time.time()
        for action, name in STEPS:
            await asyncio.sleep(step_seconds)
            await _do(senders, action, name, folder, settings)
        await asyncio.sleep(step_seconds)
        return began, time.time()
    finally:
        for sender in senders.values():
            await sender.stop()


async def _do(senders: dict[str, Child], action: str, name: str, folder: Path, settings: Settings) -> None:
    match action:
        case "join":
            component = Component(name, ("sender", "run"))
            senders[name] = Child(component, to_environment(settings), folder / "logs")
            await senders[name].start(lambda: None)
        case "leave":
            await senders.pop(name).stop()
        case "kill":
            pid = senders[name].pid
            assert pid is not None, "it was started"
            os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def _simulator(folder: Path) -> AsyncIterator[Child]:
    arguments = ("simulator", "--port=0", f"--state-dir={folder / 'simulator'}")
    child = Child(Component("simulator", arguments), {}, folder / "logs")
    await child.start(lambda: None)
    try:
        yield child
    finally:
        await child.stop()


def figures(arrivals: Arrivals, limits: Limits, began: float, ended: float) -> dict[str, Any]:
    """How a limit was kept; the most in a second is that of any, the first and the last included."""
    assert limits.rate is not None, "what is measured has a rate"
    assert limits.burst is not None, "and a burst"
    measured = [number for at, number in arrivals.items() if began <= at / _RESOLUTION < ended]
    most = most_in_a_second(arrivals)
    used = sum(measured) / (ended - began) / limits.rate
    return {
        "rate": limits.rate,
        "burst": limits.burst,
        "most_in_a_second": most,
        "mails_per_second": round(sum(measured) / (ended - began), 2),
        "used": round(used, 4),
        "least_used_second": round(least_in_a_second(arrivals, began, ended) / limits.rate, 3),
        "missed": [
            *([f"{most} mails in a second"] if most > limits.rate + limits.burst else []),
            *([f"only {used:.1%} of the rate was used"] if used < 1 - WITHIN else []),
        ],
    }


def most_in_a_second(arrivals: Arrivals) -> int:
    """In any second, however it lies: a hundred and one hundredths, as those at both ends count only in part."""
    return max(_sums(arrivals, _RESOLUTION + 1), default=0)


def least_in_a_second(arrivals: Arrivals, began: float, ended: float) -> int:
    """In any hundred hundredths of the time measured."""
    first, last = int(began * _RESOLUTION) + 1, int(ended * _RESOLUTION) - 1
    inside = {at: number for at, number in arrivals.items() if first <= at < last}
    return min(_sums({first: 0, last: 0, **inside}, _RESOLUTION, partial=False), default=0)


def _sums(arrivals: Arrivals, width: int, *, partial: bool = True) -> list[int]:
    if not arrivals:
        return []
    first, last = min(arrivals), max(arrivals)
    sums, running = [], 0
    for at in range(first, last + 1):
        running += arrivals.get(at, 0) - arrivals.get(at - width, 0)
        if partial or at >= first + width - 1:
            sums.append(running)
    return sums


def _add_options(parser: argparse.ArgumentParser) -> None:
    usual = Options()
    parser.add_argument("--rate", type=float, default=usual.rate, help="mails/s of the pool")
    parser.add_argument("--burst", type=float, default=usual.burst, help="beyond the rate, in any second")
    parser.add_argument("--lane-rate", type=float, default=usual.lane_rate, help=f"mails/s of the lane {LANE}")
    parser.add_argument("--lane-burst", type=float, default=usual.lane_burst, help="the same for the lane")
    parser.add_argument("--step-seconds", type=float, default=usual.step_seconds, help="from one event to the next")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    names = Options.__struct_fields__
    return apart(measure, Options(**{name: getattr(arguments, name) for name in names}))


def show(result: dict[str, Any], console: Console) -> None:
    """A line for each limit."""
    table = Table("limit", "rate", "burst", "most in a second", "mails/s", "used", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in ("pool", "lane"):
        one = result[name]
        colour = "bold red" if one["missed"] else "green"
        table.add_row(
            name,
            f"{one['rate']:g}",
            f"{one['burst']:g}",
            f"[{colour}]{one['most_in_a_second']}[/]",
            f"{one['mails_per_second']:,.1f}",
            f"[{colour}]{one['used']:.1%}[/]",
        )
    console.print(table)
    console.print(f"[dim]{', '.join(result['steps'])}[/]")
    for name in ("pool", "lane"):
        for text in result[name]["missed"]:
            console.print(f"[bold red]missed[/] by the {name}: {text}")


def kept(result: Mapping[str, Any], limits: Sequence[str] = ("pool", "lane")) -> bool:
    """Whether no second had more than rate and burst."""
    return all(result[name]["most_in_a_second"] <= result[name]["rate"] + result[name]["burst"] for name in limits)


PART = Part(
    name="throttle",
    what="four senders, some of which join, leave and are killed: whether they keep to one limit together",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not kept(result),
)
