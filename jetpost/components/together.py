"""Parts of one process that live and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def together(stop: asyncio.Event, *parts: Callable[[], Awaitable[object]]) -> None:
    """Run parts until all end. Where one ends, the others are told to stop; where one fails, its error is raised."""

    async def one(part: Callable[[], Awaitable[object]]) -> None:
        try:
            await part()
        finally:
            stop.set()

    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(one(part))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
