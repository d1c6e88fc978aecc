"""Everything that takes part, up: simulator, NATS, web app with ingester, producers, and senders when they are wanted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from analytics.web.settings import WebSettings
from benchmarks.e2e import dkim_keys, newsletter
from benchmarks.e2e.newsletter import POOL
from benchmarks.e2e.options import Options
from benchmarks.frame import processes
from benchmarks.frame.processes import Reading
from events.bus import Bus
from events.nats_bus import NatsBus
from jetpost.logs import LogSettings
from jetpost.settings import Settings, to_environment
from jetpost.simulator import client as simulator
from jetpost.simulator.stats import SimulatorStats
from jetpost.stack import Plan, Stack, embedded
from jetpost.supervisor import Child, Component
from sender.settings import Relay, SenderSettings

LAUNCHING: Final = "launch"
"""This process: it reads the audience, cuts the batches, and asks now and then how far everything is."""

_JETPOST: Final = (sys.executable, "-m", "jetpost")
_SENDMAIL: Final = (sys.executable, "-m", "benchmarks.e2e.sendmail_sender")


class Stage:
    """What is up, and where."""

    def __init__(self, options: Options, folder: Path, taker: Child, stack: Stack, bus: Bus) -> None:
        self.options = options
        self.folder = folder
        self.stack = stack
        self.bus = bus
        self._taker = taker
        program = _SENDMAIL if options.sendmail else _JETPOST
        self._senders = [
            Child(
                Component(f"sender-{number}", ("sender", "run"), program),
                to_environment(stack.settings),
                stack_logs(folder),
            )
            for number in range(1, options.senders + 1)
        ]

    async def start_senders(self) -> None:
        """They are ready when this returns."""
        async with asyncio.TaskGroup() as starting:
            for child in self._senders:
                starting.create_task(child.start(lambda: None))

    async def stop_senders(self) -> None:
        await asyncio.gather(*(child.stop() for child in self._senders))

    def pids(self) -> dict[str, int]:
        """The processes that run now, by name, this one included."""
        found = {"nats-server": int((self.folder / "nats" / "lock").read_text("ascii"))}
        children = [*self.stack.children.values(), *self._senders, self._taker]
        found |= {child.component.name: child.pid for child in children if child.pid is not None}
        return found | {LAUNCHING: os.getpid()}

    def restarts(self) -> int:
        """How often a process died and was started again: figures of a run with any are worth nothing."""
        children = [*self.stack.children.values(), *self._senders, self._taker]
        return sum(child.restarts for child in children)

    def read(self) -> Reading:
        return processes.read(self.pids())

    def peak_memory(self) -> dict[str, int]:
        """Bytes by process."""
        found = {name: processes.peak_memory(pid) for name, pid in self.pids().items()}
        return {name: peak for name, peak in found.items() if peak is not None}

    def disk(self) -> dict[str, int]:
        """Bytes of nats-server's store on disk: `all`, and by stream."""
        return disk(self.folder / "nats")

    async def taken(self) -> SimulatorStats:
        return await simulator.stats(int(self._taker.addresses["control"]))


def stack_logs(folder: Path) -> Path:
    """Where the components of a stack log to."""
    return folder / "logs"


def disk(store: Path) -> dict[str, int]:
    """Bytes that a nats-server's store takes on disk: `all`, and by stream."""
    found = {"all": 0}
    for place, _, names in os.walk(store):
        parts = Path(place).relative_to(store).parts
        stream = parts[3] if len(parts) > 3 and parts[2] == "streams" else None
        size = sum(_size(Path(place, name)) for name in names)
        found["all"] += size
        if stream is not None:
            found[stream] = found.get(stream, 0) + size
    return found


def _size(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    options: Options,
    change: Callable[[Settings], Settings] = lambda settings: settings,
    simulated: Sequence[str] = (),
) -> AsyncIterator[Stage]:
    """Everything but the senders is up inside, with its data and logs in `folder`. The simulator gets `simulated` as well."""
    async with contextlib.AsyncExitStack() as exits:
        taker = await exits.enter_async_context(_simulator(folder, options, simulated))
        settings = change(_settings(folder, options, int(taker.addresses["smtp"])))
        plan = Plan(producers=options.producers, senders=0)
        stack = await exits.enter_async_context(Stack(plan, embedded(settings, clickhouse_is_set=False)))
        bus = await NatsBus.connect(stack.settings.nats, name="jetpost bench")
        exits.push_async_callback(bus.close)
        stage = Stage(options, folder, taker, stack, bus)
        exits.push_async_callback(stage.stop_senders)
        yield stage


def _settings(folder: Path, options: Options, simulator_port: int) -> Settings:
    """The defaults, but for where the mail goes and what a run is asked to vary."""
    pipelining = options.pipelining and not options.sendmail
    relay = Relay(port=simulator_port, pipelining=pipelining, relay_signs=not options.dkim)
    if options.connections is not None:
        relay = replace(relay, max_connections=options.connections)
    return Settings(
        data_dir=folder,
        sender=SenderSettings(pools={POOL: relay}, dkim={newsletter.DOMAIN: dkim_keys.made()} if options.dkim else {}),
        web=WebSettings(port=0),
        log=LogSettings(format="json"),
    )


@contextlib.asynccontextmanager
async def _simulator(folder: Path, options: Options, more: Sequence[str]) -> AsyncIterator[Child]:
    arguments = (
        "simulator",
        "--port=0",
        f"--latency={options.latency_ms / 1_000}",
        f"--state-dir={folder / 'simulator'}",
        *more,
    )
    child = Child(Component("simulator", arguments), {}, stack_logs(folder))
    await child.start(lambda: None)
    try:
        yield child
    finally:
        await child.stop()
