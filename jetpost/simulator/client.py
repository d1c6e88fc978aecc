"""Asking a running simulator what it has seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from events.providers import Provider
from jetpost.simulator import counts
from jetpost.simulator.profiles import Profile
from jetpost.simulator.settings import Faults
from jetpost.simulator.stats import SimulatorStats

_TIMEOUT_SECONDS = 60.0


async def counters(port: int, host: str = "127.0.0.1") -> SimulatorStats:
    """What it counted, without the exact number of different mails: cheap enough to ask every second."""
    return msgspec.json.decode(await _ask(host, port, b"counters"), type=SimulatorStats)


async def stats(port: int, host: str = "127.0.0.1") -> SimulatorStats:
    """What it counted, `accepted` and `accepted_more_than_once` by mail id included."""
    return msgspec.json.decode(await _ask(host, port, b"stats"), type=SimulatorStats)


async def duplicates(port: int, host: str = "127.0.0.1") -> dict[str, int]:
    """The mail ids that were accepted more than once, and how often."""
    return msgspec.json.decode(await _ask(host, port, b"duplicates"), type=dict[str, int])


async def arrivals(port: int, host: str = "127.0.0.1") -> dict[Provider, dict[int, int]]:
    """How many mails were accepted in each hundredth of a second that had any (Unix time in hundredths), by provider."""
    return msgspec.json.decode(await _ask(host, port, b"arrivals"), type=dict[Provider, dict[int, int]])


async def set_faults(port: int, faults: Faults, host: str = "127.0.0.1") -> None:
    """From now on these faults strike, and no others."""
    await _ask(host, port, b"faults " + msgspec.json.encode(faults))


async def set_profiles(port: int, profiles: Mapping[Provider, Profile], host: str = "127.0.0.1") -> None:
    """From now on these providers bear so much, and others anything."""
    await _ask(host, port, b"profiles " + msgspec.json.encode(profiles))


async def stop(port: int, host: str = "127.0.0.1") -> None:
    """Ends it; returns as soon as it has heard."""
    await _ask(host, port, b"stop")


def accepted_ids(stats: SimulatorStats) -> Iterator[str]:
    """Every mail id accepted up to `stats`, in order, repeats included. On the simulator's own machine."""
    return (mail_id.decode() for mail_id in counts.read_ids(Path(stats.accepted_file)))


async def _ask(host: str, port: int, command: bytes) -> bytes:
    """Raises `OSError` where nobody listens, `TimeoutError` where nobody answers."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(command + b"\n")
            return await reader.read()
        finally:
            writer.close()
