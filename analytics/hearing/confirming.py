"""Confirms subscriptions of Amazon SNS: it asks for the address that a verified message of an allowed topic names.

The message was verified when it was stored, and topics that nobody named do not get so far. It stays unacknowledged until the
answer is there, so a confirmation survives whoever dies; after some tries it is given up, and SNS can send it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from analytics.callbacks import sns
from analytics.callbacks.base import Request
from analytics.web.webhooks.fetching import Fetch, FetchFailed
from events import metrics
from events.bus import Consumer, Delivery
from events.errors import BusError

TRIES: Final = 5
_AT_ONCE: Final = 10

_log = logging.getLogger(__name__)


def address_in(esp: str, headers: Mapping[str, str], body: bytes) -> str:
    """What confirms the subscription that a callback offers; empty where it offers none, or one that may not be asked for."""
    if esp != "ses" or b"SubscriptionConfirmation" not in body:
        return ""
    message = sns.envelope(Request(headers, body, None))
    return sns.subscribe_url(message) or "" if message.get("Type") == "SubscriptionConfirmation" else ""


class Confirming:
    """Confirmations under way."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)

    def begin(self, url: str, delivery: Delivery, consumer: Consumer) -> None:
        """Goes on beside whoever asks; the delivery is acknowledged at its end."""
        task = asyncio.create_task(self._confirm(url, delivery, consumer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """What is not confirmed yet is tried by the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _confirm(self, url: str, delivery: Delivery, consumer: Consumer) -> None:
        host = url.split("/")[2]
        try:
            async with self._room:
                await self._fetch(url)
        except FetchFailed as error:
            if delivery.deliveries < TRIES:
                _log.warning("a subscription at %s is not confirmed yet, and tried again: %s", host, error)
                return
            metrics.CONFIRMATIONS.labels("failed").inc()
            _log.error("a subscription at %s cannot be confirmed: %s. Let SNS send it again", host, error)
        else:
            metrics.CONFIRMATIONS.labels("confirmed").inc()
            _log.info("a subscription at %s is confirmed", host)
        try:
            await consumer.ack([delivery])
        except BusError as error:
            _log.debug("a confirmation comes again: %s", error)  # to confirm twice is harmless
