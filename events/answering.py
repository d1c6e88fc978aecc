"""Asking what a process depends on, for its probes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

OK: Final = "ok"
WITHIN_SECONDS: Final = 3.0


async def answer(ask: Callable[[], Awaitable[object]]) -> str:
    """`OK`, or what is wrong: what asking raises, or that it took longer than `WITHIN_SECONDS`."""
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            await ask()
    except TimeoutError:
        return f"no answer within {WITHIN_SECONDS:g} seconds"
    except Exception as error:
        # Whatever the reason, it is what the operator needs to read.
        return str(error) or type(error).__name__
    return OK
