"""How a sender's steps wait for NATS and for relays."""

from __future__ import annotations

from events import patience
from events.errors import BusError
from events.metrics import SENDER_ERRORS


class Patience(patience.Patience):
    """Waits for whatever fails on the bus, a lane that is not there yet included, and counts it."""

    def __init__(self, step: str, first_seconds: float) -> None:
        super().__init__(step, first_seconds, waits_for=(BusError,))

    def failed(self, error: BaseException) -> None:
        SENDER_ERRORS.labels(self.step).inc()
        super().failed(error)
