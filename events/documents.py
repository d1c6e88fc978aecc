"""Documents in a bucket that many change at once: by compare-and-set, anew whenever somebody else was faster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from events.bus import Bucket
from events.errors import RevisionMismatch

_COLLISION_SECONDS: Final = 0.02
"""Whoever was second tries again after a random part of this: many must not collide for ever."""


async def change(bucket: Bucket, key: str, transition: Callable[[bytes | None], bytes | None]) -> bytes | None:
    """Replace a document by what `transition` makes of it; None stands for none. Returns what now holds.

    The transition must be pure: it is called again for each newer document. Raises `RetryLater` (then it was written or not), and
    what the transition raises.
    """
    while True:
        entry = await bucket.get(key)
        before = None if entry is None or entry.deleted else entry.value
        after = transition(before)
        if after == before or after is None:
            return before
        try:
            await bucket.update(key, after, 0 if entry is None else entry.revision)
        except RevisionMismatch:
            await asyncio.sleep(random.random() * _COLLISION_SECONDS)  # noqa: S311 - spreads load
            continue
        return after
