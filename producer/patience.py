"""Backpressure: what the bus refuses for now is asked for again until it is taken, however long that is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from events.errors import RetryLater

T = TypeVar("T")

_FIRST_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 5.0


async def patiently(
    call: Callable[[], Awaitable[T]], on_wait: Callable[[str], None], stop: asyncio.Event | None = None
) -> T:
    """The result of `call`, which must be harmless to repeat. `on_wait` hears why it waits, and "" when that is over.

    Once `stop` is set it waits no longer and raises what the bus said.
    """
    wait, waited = _FIRST_WAIT_SECONDS, False
    while True:
        try:
            result = await call()
        except RetryLater as error:
            on_wait(str(error) or type(error).__name__)
            waited = True
            await sleep(wait, stop)
            if stop is not None and stop.is_set():
                raise
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            continue
        if waited:
            on_wait("")
        return result


async def sleep(seconds: float, stop: asyncio.Event | None) -> None:
    """Shorter where `stop` is set meanwhile."""
    if stop is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
