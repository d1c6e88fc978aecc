"""Waiting for what processes do."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path


async def until(condition: Callable[[], object | Awaitable[object]], seconds: float = 30) -> None:
    """Return when the condition, a function or a coroutine function, holds; fails after that long."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if await held if inspect.isawaitable(held) else held:
                return
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether it runs: where nobody adopts orphans, as in a container without init, the dead stay in the process table."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def with_variable(variable: str) -> list[int]:
    """The living processes that have `NAME=value` in the environment they were started with."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if alive(pid) and _has(pid, variable)]


def _has(pid: int, variable: str) -> bool:
    try:
        return variable.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
