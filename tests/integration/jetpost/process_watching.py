"""Waiting for what processes do."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fails after 30 seconds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes set no events of ours
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether it runs: where nobody adopts orphans, as in a container without init, the dead stay in the process table."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
