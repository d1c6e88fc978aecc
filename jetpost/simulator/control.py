"""The control port: a client sends one line, gets one JSON document, and the connection closes.

| line | answer |
|---|---|
| `counters` | `SimulatorStats` without the exact count: costs nothing |
| `stats` | `SimulatorStats`: looks at every accepted id |
| `arrivals` | how many mails were accepted in each hundredth of a second, by provider |
| `duplicates` | the ids accepted more than once, and how often |
| `faults {"hang": 0.01}` | `{}`, and from now on these faults strike, and no others |
| `profiles {"gmail": {"rate": 50, "burst": 100}}` | `{}`, and from now on these providers bear so much, and others anything |
| `stop` | `{}`, and the simulator stops |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from events.providers import Provider
from jetpost.simulator import counts, stats
from jetpost.simulator.profiles import Profile
from jetpost.simulator.settings import Faults
from jetpost.simulator.stats import SimulatorStats
from jetpost.simulator.world import World

_TIMEOUT_SECONDS = 10


class Control:
    def __init__(self, counters: Callable[[], SimulatorStats], world: World, stop: asyncio.Event) -> None:
        self._counters = counters
        self._world = world
        self._stop = stop

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one client."""
        try:
            line = await asyncio.wait_for(reader.readline(), _TIMEOUT_SECONDS)
            writer.write(await self._answer(line.strip().decode("ascii", "replace")) + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # a client that went away, said nothing, or sent an endless line
        finally:
            writer.close()

    async def _answer(self, line: str) -> bytes:
        command, _, argument = line.partition(" ")
        match command:
            case "counters":
                answer: object = self._counters()
            case "stats":
                answer = await asyncio.to_thread(stats.exact, self._counters())
            case "duplicates":
                answer = await asyncio.to_thread(counts.duplicates, Path(self._counters().accepted_file))
            case "arrivals":
                answer = self._world.counts.arrivals
            case "faults":
                self._world.set_faults(msgspec.json.decode(argument, type=Faults))
                answer = {}
            case "profiles":
                self._world.set_profiles(msgspec.json.decode(argument, type=dict[Provider, Profile]))
                answer = {}
            case "stop":
                self._stop.set()
                answer = {}
            case _:
                answer = {"error": "say counters, stats, duplicates, arrivals, faults, profiles or stop"}
        return msgspec.json.encode(answer)
