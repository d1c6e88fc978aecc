"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_SECONDS: Final = 0.5


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Returns when all have ended. Asks again: Python 3.11's `wait_for`, which nats-py uses, may swallow a cancellation that
    comes in the moment in which it would have returned (gh-86296)."""
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        _, running = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
        left = list(running)
