"""One connection of the simulator: carries bytes between a transport and a session, with latency and pauses."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final, cast

from jetpost.simulator.fast import FastSession
from jetpost.simulator.session import Next, Turn
from jetpost.simulator.world import World

_DROP: Final = None
"""In the queue of late replies: the connection closes here."""
_END: Final = b""
"""In the queue of late replies: our side of the connection ends here."""


class Connection(asyncio.Protocol):
    """Owns a transport from its first byte to its last; `open_connections` holds it in between."""

    def __init__(self, world: World, open_connections: set[Connection], tls: ssl.SSLContext | None) -> None:
        self._world = world
        self._open = open_connections
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._session = FastSession(world)
        self._latency = world.settings.latency_seconds
        self._late: deque[tuple[float, bytes | None]] = deque()
        self._deaf = False
        """Something must happen before the session may hear more."""
        self._early = b""
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._upgrade is not None:
            return  # the same connection, now over TLS
        self._open.add(self)
        self._world.counts.connections += 1
        if transport.get_extra_info("ssl_object") is not None:
            self._session = FastSession(self._world, secure=True)
        self._send(self._session.greeting)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        self._open.discard(self)
        self._session.closed()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._early += data
            return
        turn = self._session.receive(data)
        if turn.replies:
            self._send(turn.replies)
        if turn.next is not Next.GO_ON:
            self._do(turn)

    def close(self) -> None:
        """The simulator stops: say so, as a server may at any time (RFC 5321 §3.8), and end the connection."""
        self._deaf = True
        self._send_now(b"421 4.3.2 Service shutting down\r\n")
        self._transport.close()

    def _do(self, turn: Turn) -> None:
        match turn.next:
            case Next.WAIT:
                self._deaf = True
                self._loop.call_later(turn.seconds, self._hear_again)
            case Next.CLOSE:
                self._deaf = True
                self._send(_DROP)
            case Next.HANG:
                self._deaf = True
            case Next.HALF_CLOSE:
                self._deaf = True
                self._send(_END)
            case Next.START_TLS:
                self._deaf = True
                self._upgrade = self._loop.create_task(self._start_tls())
            case Next.GO_ON:
                pass

    def _hear_again(self) -> None:
        if not self._transport.is_closing():
            self._deaf = False
            early, self._early = self._early, b""
            self.data_received(early)

    async def _start_tls(self) -> None:
        assert self._tls is not None
        self._early = b""  # what came in the clear after STARTTLS is not to be believed (RFC 3207 §4.2)
        try:
            secured = await self._loop.start_tls(self._transport, self, self._tls, server_side=True)
        except (OSError, ssl.SSLError):
            self._transport.abort()
            return
        if secured is not None:
            self._transport = secured
            self._session = FastSession(self._world, secure=True)
            self._hear_again()

    def _send(self, replies: bytes | None) -> None:
        if self._latency <= 0:
            self._send_now(replies)
            return
        self._late.append((self._loop.time() + self._latency, replies))
        if len(self._late) == 1:
            self._loop.call_later(self._latency, self._send_late)

    def _send_late(self) -> None:
        due = self._loop.time() + 0.001
        while self._late and self._late[0][0] <= due:
            self._send_now(self._late.popleft()[1])
        if self._late:
            self._loop.call_later(self._late[0][0] - self._loop.time(), self._send_late)

    def _send_now(self, replies: bytes | None) -> None:
        if replies is _DROP:
            self._transport.close()
        elif self._transport.is_closing():
            return
        elif replies == _END:
            self._transport.write_eof()
        else:
            self._transport.write(replies)
