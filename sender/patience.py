"""How a sender's steps wait for NATS and for relays."""

from __future__ import annotations

import logging
from typing import Final

from events import patience
from events.errors import BusError, StreamMissing
from events.metrics import SENDER_ERRORS
from sender.errors import DictionaryMissing

_log = logging.getLogger(__name__)

LONG_IN_COMING: Final = 7
"""Tries, some ten seconds after the first with the usual settings: by then a launch has got its first mails queued."""


class Patience(patience.Patience):
    """Waits for whatever fails on the bus, a lane that is not there yet included, and counts it."""

    def __init__(self, step: str, first_seconds: float) -> None:
        super().__init__(step, first_seconds, waits_for=(BusError,))

    def failed(self, error: BaseException) -> None:
        SENDER_ERRORS.labels(self.step).inc()
        super().failed(error)


class Expectant(Patience):
    """Waits for what a launch is about to make: that it is not there yet is no failure, and only said where it lasts."""

    def __init__(self, campaign: str, first_seconds: float) -> None:
        super().__init__("feed", first_seconds)
        self._campaign = campaign
        self._said = False

    def failed(self, error: BaseException) -> None:
        if not isinstance(error, DictionaryMissing | StreamMissing):
            self._said = True
            super().failed(error)
        elif self.failures == LONG_IN_COMING:
            self._said = True
            _log.warning("waiting for the first mails of campaign %s: do producers run? (%s)", self._campaign, error)
        else:
            _log.debug("not there yet: %s", error)

    def works_again(self) -> None:
        if self._said:
            _log.warning("campaign %s is there", self._campaign)
        self._said = False
