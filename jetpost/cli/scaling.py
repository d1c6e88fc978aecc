"""What `jetpost status` says of senders."""

from __future__ import annotations

from analytics.scaling import stored
from events.bus import Bus
from events.errors import BusError
from jetpost.display import plain


async def standing(connected: Bus) -> list[str]:
    """How many work, how many are wanted and why, as a line while anything is to be sent; none where nobody works it out."""
    try:
        decision = await stored.newest(connected, await connected.server_time())
    except BusError:
        return []
    if decision is None or decision.reason == "idle":
        return []
    return [f"senders: {decision.alive:,} at work, {decision.wanted:,} wanted. {plain(decision.why)}"]
