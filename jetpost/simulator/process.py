"""The life of a simulator process: serves until SIGTERM or SIGINT, or until its supervisor is gone."""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec
import uvloop

from jetpost import readiness
from jetpost.simulator import server
from jetpost.simulator.settings import SimulatorSettings
from jetpost.simulator.stats import Ports


def run(settings: SimulatorSettings) -> None:
    """Prints its ports as one JSON line when it is ready, and tells them to its supervisor, if it has one."""
    uvloop.run(_run(settings))


async def _run(settings: SimulatorSettings) -> None:
    stop = asyncio.Event()
    readiness.stop_without_supervisor(stop)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.run(settings, stop, _announce)


def _announce(ports: Ports) -> None:
    readiness.announce({"smtp": str(ports.smtp), "control": str(ports.control)})
    sys.stdout.write(msgspec.json.encode(ports).decode() + "\n")
    sys.stdout.flush()
