"""A durable pull consumer on JetStream: at most one pull request open, deliveries buffered as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Sequence
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from events import errors
from events.bus import Delivery
from events.errors import describe

_GRACE_SECONDS: Final = 2.0
"""How long after its expiry a pull request counts as open when the server said nothing (the connection broke)."""


class NatsConsumer:
    """See `events.bus.Consumer`. One task at a time may fetch."""

    def __init__(self, client: Client, stream: str, name: str) -> None:
        self._client = client
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._open = 0
        """Messages that the open pull request may still bring."""
        self._open_until = 0.0

    async def start(self) -> None:
        self._subscription = await self._client.subscribe(self._inbox, cb=self._on_message, pending_bytes_limit=-1)

    async def _on_message(self, message: Msg) -> None:
        if message.reply:
            self._open -= 1
            self._arrived.append(_to_delivery(message))
        else:  # a status: the request ended (404, 408, 409), or the server is alive (100)
            status = (message.headers or {}).get("Status", "")
            if status != "100":
                self._open = 0
        self._news.set()

    async def fetch(self, limit: int, max_wait_seconds: float) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + max_wait_seconds
        while not self._arrived:
            now = loop.time()
            if now >= give_up_at:
                return []
            if self._open <= 0 or now >= self._open_until:
                await self._request(limit, give_up_at - now)
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, give_up_at - loop.time())):
                    await self._news.wait()
        await asyncio.sleep(0)  # let what came in the same packet be dispatched
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    async def _request(self, limit: int, expires_seconds: float) -> None:
        body = {"batch": limit, "expires": int(max(expires_seconds, 0.05) * 1_000_000_000)}
        self._open = limit
        self._open_until = asyncio.get_running_loop().time() + expires_seconds + _GRACE_SECONDS
        await self._publish(self._next_subject, json.dumps(body).encode(), reply=self._inbox)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        await self._answer(deliveries, b"+ACK")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        await self._answer(deliveries, b"-NAK")

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self._publish(delivery.handle, b"+WPI")

    async def _answer(self, deliveries: Sequence[Delivery], answer: bytes) -> None:
        """Answer all; the last as a request, whose reply says that the server took note of those before it, too."""
        if not deliveries:
            return
        for delivery in deliveries[:-1]:
            await self._publish(delivery.handle, answer)
        try:
            await self._client.request(deliveries[-1].handle, answer, timeout=10)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.BusUnavailable(f"acknowledgement not confirmed: {describe(error)}") from error

    async def _publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        try:
            await self._client.publish(subject, payload, reply=reply)
        except (nats.errors.Error, OSError) as error:
            raise errors.BusUnavailable(f"NATS does not answer: {describe(error)}") from error

    async def close(self) -> None:
        if self._subscription is None:
            return
        subscription, self._subscription = self._subscription, None
        with contextlib.suppress(nats.errors.Error, errors.BusError):
            await subscription.unsubscribe()
            await self.release(list(self._arrived))
        self._arrived.clear()


def _to_delivery(message: Msg) -> Delivery:
    """Read a delivery's place from its reply subject (ADR-15).

    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…`, with a domain and an account hash before the stream on newer servers.
    """
    tokens = message.reply.split(".")
    first = 4 if len(tokens) == 9 else 6
    return Delivery(
        payload=message.data,
        subject=message.subject,
        sequence=int(tokens[first + 1]),
        deliveries=int(tokens[first]),
        handle=message.reply,
    )
