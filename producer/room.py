"""Backpressure before the store is full: what is left above the high-water mark belongs to senders (`streams.HIGH_WATER`).

MAIL and EVENTS share the store. If producers filled it, senders could neither claim nor state outcomes, nothing would leave MAIL,
and nobody could go on. So splitter and producers wait here, and go on by themselves when mails were sent or room was made.
"""

from __future__ import annotations

from events import streams
from events.bus import Bus
from events.errors import StreamFull


async def require(bus: Bus) -> None:
    """Raises `StreamFull` where the store is nearly full, and `RetryLater`."""
    storage = await bus.storage()
    if storage.nearly_full:
        raise StreamFull(
            f"JetStream holds {storage}; above {streams.HIGH_WATER:.0%} nothing more is queued, "
            "so that senders can go on. It goes on by itself as mails are sent; or give JetStream more room"
        )
