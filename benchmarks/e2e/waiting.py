"""Mails that wait for a scheduled retry, of another campaign and far in the future, while the measured one is sent."""

from __future__ import annotations

import os
import time
from typing import Final

from benchmarks.e2e.newsletter import POOL
from events import ids, providers, streams, subjects
from events.bus import Bus, Message

CAMPAIGN: Final = "earlier"
_WAIT_SECONDS: Final = 6 * 3_600.0
_BYTES: Final = 300
"""About what a mail of 10 KB has in the queue."""
_AT_ONCE: Final = 2_000


async def fill(bus: Bus, count: int) -> None:
    """They all wait when this returns."""
    due_at = time.time() + _WAIT_SECONDS
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        await bus.publish(streams.MAIL.name, [_retry(number, due_at) for number in numbers])


def _retry(number: int, due_at: float) -> Message:
    provider = providers.PROVIDERS[number % len(providers.PROVIDERS)]
    mail_id = ids.mail_id(CAMPAIGN, f"{number}")
    return Message(
        subjects.mail_waiting(CAMPAIGN, POOL, provider, "transient", mail_id),
        os.urandom(_BYTES),
        ids.attempt_id(mail_id, 2),
        due_at=due_at + number % 3_600,
        target=subjects.mail_due(POOL, provider, CAMPAIGN),
    )
