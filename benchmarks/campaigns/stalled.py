"""The part `stalled`: whether a mailbox provider whose server hangs slows down the lanes of the others.

A sender with a full queue hands its mails to a relay that takes a while for each turn. Then again, and from the start the turns
of one provider do not end. Both runs count only the mails of the other providers; the relay is so far away that nobody is
short of CPU. A sender that gave the hanging lane all the sessions it asks for would show it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop
from rich.console import Console

from benchmarks import sending
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from events import providers
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from sender import worker
from sender.drivers.base import Accepted, Driver, Outbound, Outcome
from sender.settings import Relay, SenderSettings

WITHIN: Final = 0.05
"""So much slower the others may become."""
TURN_SECONDS: Final = 0.05
DEPTH: Final = 4
"""Mails in a turn: so few that the sessions are what is scarce."""
_OTHERS: Final = len(providers.PROVIDERS) - 1
_STALLED: Final = 0
"""The provider whose server hangs, by its place; mails are dealt to the providers in turn."""


class DistantPool:
    """A relay that takes every mail after a while, or never those of one provider, until it is released."""

    def __init__(self, others: int, *, stalls: bool) -> None:
        self.room = DEPTH
        self._stalls = stalls
        self._others = others
        self._times: list[float] = []
        self.all_others = asyncio.Event()
        self.released = asyncio.Event()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Driver]:
        yield self

    async def deliver(self, mails: Sequence[Outbound]) -> list[Outcome]:
        is_other = int(mails[0].recipient.partition("@")[0]) % len(providers.PROVIDERS) != _STALLED
        if self._stalls and not is_other:
            await self.released.wait()
        else:
            await asyncio.sleep(TURN_SECONDS)
        if is_other:
            self._times += [time.perf_counter()] * len(mails)
            if len(self._times) >= self._others:
                self.all_others.set()
        return [Accepted(sending.OK, time.time()) for _ in mails]

    async def close(self) -> None:
        """Nothing to close."""

    @property
    def rate(self) -> float:
        """Mails of the others per second, without the first and the last fifth of them, when not every lane is at work."""
        first, last = len(self._times) // 5, len(self._times) * 4 // 5
        return (last - first) / (self._times[last] - self._times[first])


def measure(mails: int, *, stalls: bool) -> float:
    """The rate of the other providers together."""
    return uvloop.run(_measure(mails, stalls=stalls))


async def _measure(mails: int, *, stalls: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder)) as server:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
            await sending.prepare(bus, mails)
            pool, stop = DistantPool(mails * _OTHERS // (_OTHERS + 1), stalls=stalls), asyncio.Event()
            settings = SenderSettings(pools={"default": Relay(pipeline_depth=DEPTH)})
            running = asyncio.create_task(worker.run(bus, settings, lambda *_: pool, clock=time.time, stop=stop))
            await pool.all_others.wait()
            stop.set()
            pool.released.set()
            await running
            await bus.close()
            return pool.rate


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=10_000, help="in each run, of all providers")
    parser.add_argument(
        "--pairs", type=int, default=3, help="runs with all lanes at work, and as many with one stalled"
    )


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    working, stalled = [], []
    for _ in range(arguments.pairs):
        working.append(apart(measure, arguments.mails, stalls=False))
        stalled.append(apart(measure, arguments.mails, stalls=True))
    return {"mails": arguments.mails, "turn_seconds": TURN_SECONDS, **compared(working, stalled)}


def compared(working: Sequence[float], stalled: Sequence[float]) -> dict[str, Any]:
    """The rates of the others, and how much they change, pair by pair; the median, and all."""
    changes = [round(one / other - 1, 4) for one, other in zip(stalled, working, strict=True)]
    return {
        "mails_per_second_working": [round(rate) for rate in working],
        "mails_per_second_stalled": [round(rate) for rate in stalled],
        "rate_change": median(changes),
        "rate_changes": changes,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """One line."""
    colour = "green" if result["rate_change"] > -WITHIN else "bold red"
    every = ", ".join(f"{change:+.1%}" for change in result["rate_changes"])
    console.print(
        f"a lane that hangs changes the rate of the others by [{colour}]{result['rate_change']:+.1%}[/] ({every}),"
        f" from {median(result['mails_per_second_working']):,.0f} mails/s"
    )


PART = Part(
    name="stalled",
    what="one mailbox provider hangs: whether the lanes of the others go on as before",
    add_options=_add_options,
    run=_run,
    show=show,
)
