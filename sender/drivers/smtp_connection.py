"""A pipelined SMTP session on a transport that aiosmtplib opened: carries bytes between it and `smtp_session`.

aiosmtplib connects, secures and authenticates; then its protocol is taken off the transport and ours put on, which works
alike on asyncio and uvloop, with and without TLS. From there on a mail costs one write and one read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast

from aiosmtplib import SMTP

from events.metrics import SMTP_TRANSACTION_SECONDS
from sender.drivers import smtp_wire
from sender.drivers.base import Outbound, Outcome
from sender.drivers.smtp_connect import QUIT_SECONDS, TURN_SECONDS
from sender.drivers.smtp_fast import FastSession
from sender.settings import Relay


class PipelinedDriver(asyncio.Protocol):
    """One session with a server that offers PIPELINING."""

    def __init__(self, smtp: SMTP, relay: Relay, pool: str) -> None:
        assert smtp.transport is not None
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        offered = smtp_wire.extensions_of(smtp.esmtp_extensions)
        extensions = offered._replace(chunking=offered.chunking and relay.chunking)
        self._session = FastSession(extensions, time.time, turn_seconds=TURN_SECONDS)
        self._seconds = SMTP_TRANSACTION_SECONDS.labels(pool)
        self._unsent = False
        """Some of what was written has not left this process."""
        self._turn: asyncio.Future[None] | None = None
        self._moved_at = 0.0
        self._shortest = min(relay.command_timeout_seconds, relay.data_timeout_seconds)
        self._gone = self._loop.create_future()
        self._transport = cast("asyncio.Transport", smtp.transport)
        self._transport.set_write_buffer_limits(high=0)
        self._transport.set_protocol(self)

    @property
    def room(self) -> int:
        return min(self._relay.pipeline_depth, max(1, self._relay.mails_per_connection - self._session.carried))

    @property
    def usable(self) -> bool:
        """The session is whole and may carry more mails."""
        return (
            not self._session.broken
            and self._session.done
            and not self._transport.is_closing()
            and self._session.carried < self._relay.mails_per_connection
        )

    @property
    def broken(self) -> str:
        """Why the session cannot be used any more; empty while it can."""
        return self._session.broken

    @property
    def misbehaved(self) -> bool:
        """The server cannot be trusted with a pipeline."""
        return self._session.misbehaved

    @property
    def suspect(self) -> bool:
        """The server fell silent in the middle of a pipeline: one such time proves nothing."""
        return self._session.suspect

    async def deliver(self, mails: Sequence[Outbound]) -> list[Outcome]:
        started = self._loop.time()
        await self._exchange(self._session.begin(mails))
        self._seconds.observe(self._loop.time() - started)
        return self._session.outcomes

    async def check(self) -> bool:
        """Whether the server still answers on this session."""
        await self._exchange(self._session.probe())
        return self.usable

    async def close(self) -> None:
        if not self._session.broken and self._session.done and not self._transport.is_closing():
            self._session.lost("closed")
            self._transport.write(b"QUIT\r\n")
            await asyncio.wait([self._gone], timeout=QUIT_SECONDS)
        self._transport.abort()

    async def _exchange(self, commands: bytes) -> None:
        """Write, and let replies and further commands go back and forth until the session has what it wants."""
        if not self._session.done and self._transport.is_closing():
            self._session.lost("the connection is closed")
        if self._session.done:
            return
        self._turn = self._loop.create_future()
        self._moved_at = self._loop.time()
        self._watch = self._loop.call_later(self._shortest, self._look)
        self._write(commands)
        try:
            await self._turn
        except asyncio.CancelledError:
            self._session.lost("cancelled")
            self._transport.abort()
            raise
        finally:
            self._watch.cancel()
            self._turn = None

    @property
    def _patience(self) -> float:
        """Seconds without a sign of the server after which it counts as gone (RFC 5321 §4.5.3.2)."""
        relay = self._relay
        return relay.data_timeout_seconds if self._session.awaits_final_reply else relay.command_timeout_seconds

    def _look(self) -> None:
        left = self._moved_at + self._patience - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(min(left, self._shortest), self._look)
            return
        self._session.silent(f"no reply within {self._patience:g} s")
        self._settle()

    # what the transport calls

    def data_received(self, data: bytes) -> None:
        session = self._session
        if session.broken:
            return
        self._moved_at = self._loop.time()
        self._write(session.feed(data))
        if session.done:
            self._settle()

    def pause_writing(self) -> None:
        self._unsent = True

    def resume_writing(self) -> None:
        self._unsent = False
        self._moved_at = self._loop.time()
        self._write(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.lost(f"the connection broke: {exc}" if exc else "the server closed the connection")
        if not self._gone.done():
            self._gone.set_result(None)
        self._settle()

    def _write(self, commands: bytes) -> None:
        if commands:
            self._transport.write(commands)
        while not self._unsent and (more := self._session.more()):
            self._transport.write(more)

    def _settle(self) -> None:
        if self._session.broken:
            self._transport.abort()
        if self._session.done and self._turn is not None and not self._turn.done():
            self._turn.set_result(None)
