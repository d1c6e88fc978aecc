"""A durable pull consumer on JetStream: at most one pull request open, deliveries buffered as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Sequence
from typing import Final

from events.bus import Delivery
from events.errors import BusError, BusUnavailable, NotPermitted, StreamMissing
from events.nats_errors import from_answer
from events.nats_frames import answer_frames, frame
from events.nats_wire import NO_RESPONDERS, ConnectionLost, WireClient, status_of

CONFIRM_TIMEOUT_SECONDS: Final = 10.0

_GRACE_SECONDS: Final = 2.0
"""How long after its expiry a pull request counts as open when the server says nothing."""

_LINGER_SECONDS: Final = 0.002
"""How long a fetch that has something waits for the rest of what the server is sending."""

_HEARTBEAT: Final = b"100"
_ENDS: Final = frozenset({b"404", b"408"})
"""Statuses with which a pull request ends that found nothing in its time."""


class NatsConsumer:
    """See `events.bus.Consumer`. One task at a time may fetch."""

    def __init__(self, client: WireClient, stream: str, name: str) -> None:
        self._client = client
        self._name = f"{name} of {stream}"
        self._info_subject = f"$JS.API.CONSUMER.INFO.{stream}.{name}"
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        self._inbox = client.new_inbox()
        self._receiver = 0
        self._forget_lost = client.on_lost(self._on_lost)
        self._forget_refused = client.on_refused(self._next_subject, self._on_refused)
        self._arrived: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._open = 0
        """Messages that the open pull request may still bring."""
        self._open_until = 0.0
        self._refusal: BusError | None = None
        self._closed = False

    async def start(self) -> None:
        self._receiver = await self._client.receive(self._inbox, self._on_message)

    def _on_message(self, subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
        if reply:
            self._open -= 1
            self._arrived.append(to_delivery(subject, reply, payload))
        elif (status := status_of(headers)) != _HEARTBEAT:
            self._open = 0
            if status not in _ENDS:
                self._refusal = self._to_error(status, headers)
        self._news.set()

    def _on_lost(self) -> None:
        """The server forgets a pull request with its connection."""
        self._open = 0
        self._news.set()

    def _on_refused(self, error: NotPermitted) -> None:
        self._open = 0
        self._refusal = error
        self._news.set()

    def _to_error(self, status: bytes, headers: bytes) -> BusError:
        """What ended a pull request other than success or time: the consumer is gone, or the server is about to be."""
        if status == NO_RESPONDERS or b"Consumer Deleted" in headers:
            return StreamMissing(f"consumer {self._name} does not answer; it was deleted, or its stream is not set up")
        line = headers.partition(b"\r\n")[0].decode("ascii", "replace")
        return BusUnavailable(f"consumer {self._name} refused to deliver: {line}")

    async def _raise_refusal(self) -> None:
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            if isinstance(refusal, StreamMissing) and await self._exists():
                raise BusUnavailable(f"consumer {self._name} does not answer: it has no leader for the moment")
            raise refusal

    async def _exists(self) -> bool:
        """In a cluster nobody answers while a consumer changes its leader, just as when it was deleted."""
        answer = json.loads(await self._client.ask(self._info_subject, b"", CONFIRM_TIMEOUT_SECONDS))
        if "error" not in answer:
            return True
        error = from_answer(answer["error"], f"consumer {self._name}")
        if isinstance(error, StreamMissing):
            return False
        raise error

    async def fetch(self, limit: int, max_wait_seconds: float) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + max_wait_seconds
        while not self._arrived:
            await self._raise_refusal()
            remaining = give_up_at - loop.time()
            if remaining <= 0:
                return []
            await self._ensure_request(limit, remaining)
            await self._wait_for_news(remaining)
        while self._open > 0 and len(self._arrived) < limit and await self._wait_for_news(_LINGER_SECONDS):
            continue
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    async def _wait_for_news(self, seconds: float) -> bool:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        return self._news.is_set()

    async def _ensure_request(self, limit: int, expires_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._open > 0 and now < self._open_until:
            return
        body = {"batch": limit, "expires": int(max(expires_seconds, 0.05) * 1_000_000_000)}
        self._open = limit
        self._open_until = now + expires_seconds + _GRACE_SECONDS
        try:
            await self._client.send(frame(self._next_subject, json.dumps(body).encode("ascii"), self._inbox.encode()))
        except ConnectionLost:
            self._open = 0
            raise

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        await self._answer(deliveries, b"+ACK")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        await self._answer(deliveries, b"-NAK")

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        await self._answer(deliveries, b"+WPI")

    async def _answer(self, deliveries: Sequence[Delivery], answer: bytes) -> None:
        """Answer all and ask for a reply to the last: a consumer takes answers in order, so that confirms all of them."""
        if not deliveries:
            return
        handles = [delivery.handle for delivery in deliveries]
        await self._client.exchange(
            1, lambda inbox: answer_frames(handles, answer, inbox + b".0"), CONFIRM_TIMEOUT_SECONDS
        )

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._forget_lost()
        self._forget_refused()
        with contextlib.suppress(BusError):
            await self._client.withdraw(self._receiver)  # what is on its way would wait for the ack-wait
            await self.release(list(self._arrived))
        await self._client.forget(self._receiver)
        self._arrived.clear()


def to_delivery(subject: bytes, reply: bytes, payload: bytes) -> Delivery:
    """Read a delivery's place from its reply subject (ADR-15).

    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…` has nine tokens; newer forms put domain and account before the
    stream, and may append tokens.
    """
    handle = reply.decode("ascii")
    tokens = handle.split(".")
    first = 4 if len(tokens) == 9 else 6
    return Delivery(payload, subject.decode(), int(tokens[first + 1]), int(tokens[first]), handle)
