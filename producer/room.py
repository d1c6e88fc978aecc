"""Backpressure before the store is full: what is left above the high-water mark belongs to senders (`streams.HIGH_WATER`).

MAIL and EVENTS share the store. If producers filled it, senders could neither claim nor state outcomes, nothing would leave MAIL,
and nobody could go on. So splitter and producers wait here, and go on by themselves when mails were sent or room was made.
"""

from __future__ import annotations

from events import streams
from events.bus import Bus
from events.errors import StreamFull
from events.schemas import Priority


async def require(bus: Bus, priority: Priority) -> None:
    """Raises `StreamFull` where the store is too full for campaigns of this class, and `RetryLater`."""
    storage = await bus.storage()
    mark = streams.URGENT_HIGH_WATER if priority == "urgent" else streams.HIGH_WATER
    if storage.share > mark:
        raise StreamFull(
            f"JetStream holds {storage}; above {mark:.0%} nothing more is queued, "
            "so that senders can go on. It goes on by itself as mails are sent; or give JetStream more room"
        )
