"""Brings the streams on NATS up to this release."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from events.errors import RetryLater
from events.nats_bus import BusSettings, NatsBus

READY_WITHIN_SECONDS: Final = 60.0
"""A cluster that has just started, or lost a server, needs a moment before it can place streams."""
AGAIN_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


async def streams(settings: BusSettings) -> None:
    """Create or update everything on the bus. Raises `BusError`: at once where no server answers, else after a while."""
    bus = await NatsBus.connect(settings, name="jetpost setup")
    try:
        await _insist(bus)
    finally:
        await bus.close()


async def _insist(bus: NatsBus) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + READY_WITHIN_SECONDS
    while True:
        try:
            return await bus.setup()
        except RetryLater as error:
            if loop.time() > give_up_at:
                raise
            _log.warning("waiting for NATS: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
