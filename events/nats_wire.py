"""A fast way out of and into nats-py's connection, for what exists once per mail.

nats-py keeps the connection: addresses, TLS, authentication, pings, reconnects. What it does per message (checks, headers as
dictionaries, a queue and a task per subscription) costs several times the message itself. So frames are encoded in bulk and
written in one go (`nats_frames`), and messages for subscriptions of ours go straight to a function (`nats_parser`). nats-py
is pinned because this module and that one use its private parts; no other does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from nats.aio import client as nats_client
from nats.aio.client import Client
from nats.errors import NoServersError

from events.errors import BusUnavailable, NotPermitted
from events.nats_exchange import Answer, Exchange
from events.nats_frames import frame
from events.nats_parser import FastParser, Receiver

# nats-py reads headers with `fast_mail_parser` where that is installed, for whatever reason; its releases since 0.10 give
# lists of values, which nats-py does not understand.
vars(nats_client)["parse_email"] = None

NO_RESPONDERS: Final = b"503"

_PING: Final = b"PING\r\n"

OPEN_TIMEOUT_SECONDS: Final = 15.0
"""For the first connection. nats-py waits for ever for the end of one whose certificate it refused."""

Encode = Callable[[bytes], bytes]
"""Takes an inbox and returns frames whose replies go to `<inbox>.0`, `<inbox>.1`, and so on."""

_log = logging.getLogger(__name__)


class ConnectionLost(BusUnavailable):
    """The connection broke before the answer came: what was asked may or may not have happened."""

    def __init__(self) -> None:
        super().__init__("NATS does not answer: the connection is lost")


class NoAnswer(BusUnavailable):
    """The connection stands, and no answer came in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"NATS did not answer within {seconds:g} s")


class NoResponders(BusUnavailable):
    """Nobody listens to the subject: no stream takes it, or JetStream is not ready."""

    def __init__(self) -> None:
        super().__init__("JetStream does not answer: it is not ready, or its streams are not set up")


class WireClient(Client):
    """nats-py's client with a fast way out (`send`, `exchange`, `ask`) and in (`receive`)."""

    def __init__(self) -> None:
        super().__init__()
        self._receivers: dict[int, Receiver] = {}
        self._ps = FastParser(self, self._receivers, self._on_refused)
        self._exchanges: dict[bytes, Exchange] = {}
        self._exchange_number = 0
        self._inbox = b""
        self._up = asyncio.Event()
        self._lost_listeners: list[Callable[[], None]] = []
        self._refusal_listeners: dict[str, list[Callable[[NotPermitted], None]]] = {}
        self._refusals: dict[str, NotPermitted] = {}
        """By subject, those of this connection that nobody waited for."""
        self._last_failure: Exception | None = None
        self.losses = 0
        """How often the connection was lost."""

    async def open(self, options: dict[str, Any]) -> None:
        """Connect; the options are those of `Client.connect`.

        Each address is tried twice, then this raises what went wrong last. Once connected, reconnecting never ends.
        """
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
                await self.connect(
                    disconnected_cb=self._on_lost,
                    reconnected_cb=self._on_back,
                    closed_cb=self._on_back,
                    error_cb=self._on_error,
                    max_reconnect_attempts=1,
                    **options,
                )
        except (NoServersError, TimeoutError) as error:
            raise self._last_failure or error from error
        self.options["max_reconnect_attempts"] = -1
        self._up.set()
        inbox = self.new_inbox()
        self._inbox = inbox.encode("ascii")
        answers = f"{inbox}.*.*"
        await self.receive(answers, self._on_answer)
        await self.settle()
        if answers in self._refusals:
            raise self._refusals[answers]

    @property
    def _ready(self) -> bool:
        """Connected, and all subscriptions are in force."""
        return self.is_connected and self._up.is_set()

    async def wait_until_connected(self, timeout_seconds: float | None) -> None:
        """Raises `BusUnavailable` after that long (None: never), or where the connection was closed for good."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self._ready:
                    if self.is_closed:
                        raise BusUnavailable("this connection to NATS was closed")
                    self._up.clear()  # nats-py knows of a loss before it calls `_on_lost`
                    await self._up.wait()
        except TimeoutError:
            raise ConnectionLost from None

    async def receive(self, subject: str, receiver: Receiver, *, max_messages: int = 0) -> int:
        """Subscribe, for good or for some messages; reconnects keep it. Returns the handle for `forget`."""
        if not self._ready:
            raise ConnectionLost
        subscription = await self.subscribe(subject)
        handle: int = subscription._id  # noqa: SLF001 - nats-py names it nowhere else
        self._receivers[handle] = receiver
        if max_messages:
            await subscription.unsubscribe(max_messages)
        return handle

    async def withdraw(self, handle: int) -> None:
        """Have the server send nothing more to a subscription; when this returns, all that it had sent has been received."""
        await self.send(b"UNSUB %d\r\n" % handle)
        await self.settle()

    async def forget(self, handle: int) -> None:
        """End a subscription; harmless where the connection is lost or closed."""
        del self._receivers[handle]
        if handle in self._subs and not self.is_closed:
            await self._subs[handle].unsubscribe()

    def on_lost(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called whenever the connection breaks; returns how to stop that."""
        self._lost_listeners.append(listener)
        return lambda: self._lost_listeners.remove(listener)

    def on_refused(self, subject: str, listener: Callable[[NotPermitted], None]) -> Callable[[], None]:
        """Have `listener` called whenever publishing to `subject` is not permitted; returns how to stop that."""
        listeners = self._refusal_listeners.setdefault(subject, [])
        listeners.append(listener)

        def stop() -> None:
            listeners.remove(listener)
            if not listeners:
                self._refusal_listeners.pop(subject, None)

        return stop

    async def send(self, frames: bytes) -> None:
        """Hand frames to the operating system. Raises `ConnectionLost` at once while there is no connection."""
        if not self._ready or self._transport is None:
            raise ConnectionLost
        # Past nats-py's flusher, whose waiting call swallows cancellation; what it has pending goes first.
        pending, self._pending = self._pending, []
        self._pending_data_size = 0
        try:
            self._transport.writelines([*pending, frames])
            await self._transport.drain()  # type: ignore[no-untyped-call]
        except OSError as error:
            raise ConnectionLost from error

    async def settle(self) -> None:
        """Returns when the server has read all that was sent before, and what it refused of that is known.

        Not nats-py's `flush`: its question overtakes what nats-py has pending.
        """
        answered = asyncio.get_running_loop().create_future()
        self._pongs.append(answered)
        await self.send(_PING)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
                await asyncio.shield(answered)  # nats-py answers it, and stumbles over one that was given up
        except TimeoutError:
            raise NoAnswer(OPEN_TIMEOUT_SECONDS) from None

    async def exchange(self, answers: int, encode: Encode, timeout_seconds: float) -> list[bytes]:
        """Send frames and return the payloads of the answers to them, in order.

        Raises `ConnectionLost` as soon as the connection breaks, `NotPermitted` as soon as one of the frames is refused,
        `NoResponders`, or `BusUnavailable` after the timeout.
        """
        return [payload for payload, _ in await self._exchange(answers, encode, timeout_seconds)]

    async def ask(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        """One request, one answer. Raises as `exchange` does."""
        return (await self.ask_for_message(subject, payload, timeout_seconds))[0]

    async def ask_for_message(self, subject: str, payload: bytes, timeout_seconds: float) -> Answer:
        """The same, where the headers of the answer matter, too."""
        (answer,) = await self._exchange(1, lambda inbox: frame(subject, payload, inbox + b".0"), timeout_seconds)
        return answer

    async def _exchange(self, answers: int, encode: Encode, timeout_seconds: float) -> list[Answer]:
        self._exchange_number += 1
        key = b"%x" % self._exchange_number
        exchange = self._exchanges[key] = Exchange(answers)
        try:
            async with asyncio.timeout(timeout_seconds):
                exchange.sent = encode(b"%b.%b" % (self._inbox, key))
                await self.send(exchange.sent)
                return await exchange.answered
        except TimeoutError:
            raise NoAnswer(timeout_seconds) from None
        finally:
            del self._exchanges[key]
            exchange.answered.cancel()

    def _on_answer(self, subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        _, key, number = subject.rsplit(b".", 2)
        exchange = self._exchanges.get(key)
        if exchange is None:
            return  # the answer to a question that was given up
        if headers and status_of(headers) == NO_RESPONDERS:
            exchange.fail(NoResponders())
        else:
            exchange.put(int(number), (payload, headers))

    def _on_refused(self, verb: str, subject: str) -> None:
        """The server says so on the connection, not to the inbox: without this everybody would wait for an answer in vain."""
        user = self.options.get("user")
        error = NotPermitted(
            f"NATS does not allow {f'the user {user}' if user else 'this connection, which names no user,'} to {verb} to"
            f" {subject}: check nats.user, and that the server has what `jetpost permissions` prints"
        )
        if verb == "publish":
            waiting = [exchange for exchange in self._exchanges.values() if exchange.holds(subject)]
            listeners = list(self._refusal_listeners.get(subject, ()))
            for exchange in waiting:
                exchange.fail(error)
            for listener in listeners:
                listener(error)
            if waiting or listeners:
                return
        if subject not in self._refusals:
            _log.error("%s", error)
        self._refusals[subject] = error

    async def _on_error(self, error: Exception) -> None:
        """nats-py tells of every failed try here; who calls hears of it as `RetryLater`."""
        self._last_failure = error

    async def _on_lost(self) -> None:
        self._up.clear()
        self.losses += 1
        for exchange in self._exchanges.values():
            exchange.fail(ConnectionLost())
        for listener in list(self._lost_listeners):
            listener()

    async def _on_back(self) -> None:
        self._refusals.clear()
        self._up.set()


def status_of(headers: bytes) -> bytes:
    """The status that the server puts on the first line of a message's headers; empty where there is none."""
    return headers[9:12] if headers[8:9] == b" " else b""
