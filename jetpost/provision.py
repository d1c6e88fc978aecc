"""Brings the streams on NATS up to this release, and waits for servers that do not answer yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from analytics.errors import ClickHouseUnavailable
from events import links
from events.errors import BusUnavailable, NotPermitted, RetryLater
from events.nats_bus import BusSettings, NatsBus

READY_WITHIN_SECONDS: Final = 60.0
"""A cluster that has just started, or lost a server, needs a moment before it can place streams."""
AGAIN_SECONDS: Final = 0.5

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


async def streams(settings: BusSettings) -> None:
    """Create or update everything on the bus, and bring what lies there to its place. Raises `BusError`: at once where no server
    answers or the user may not do it, else after a while."""
    bus = await NatsBus.connect(settings, name="jetpost setup")
    try:
        await _insist(bus)
    finally:
        await bus.close()


async def within(seconds: float, work: Callable[[], Awaitable[Result]]) -> Result:
    """Try again while a server does not answer, for so long: in an installation that has just begun, it comes later than we do.
    Raises what the last try raised, and any other error at once."""
    loop = asyncio.get_running_loop()
    give_up_at, said = loop.time() + seconds, ""
    while True:
        try:
            return await work()
        except (BusUnavailable, ClickHouseUnavailable) as error:
            if loop.time() + AGAIN_SECONDS > give_up_at:
                raise
            if str(error) != said:
                said = str(error)
                _log.warning("waiting: %s", said)
            await asyncio.sleep(AGAIN_SECONDS)


async def _insist(bus: NatsBus) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + READY_WITHIN_SECONDS
    while True:
        try:
            await bus.setup()
            return await links.carry_over(bus)
        except NotPermitted:
            raise
        except RetryLater as error:
            if loop.time() > give_up_at:
                raise
            _log.warning("waiting for NATS: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
