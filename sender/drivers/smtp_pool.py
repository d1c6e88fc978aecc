"""The SMTP sessions of one pool: made when needed, kept while they are good, never more than allowed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final, NamedTuple, TypeAlias

from aiosmtplib import SMTP

from events.metrics import SMTP_CONNECTIONS
from sender.drivers import smtp_connect
from sender.drivers.base import ConnectionFailed, Driver
from sender.drivers.smtp_connection import PipelinedDriver
from sender.drivers.smtp_plain import PlainDriver
from sender.settings import Relay

_log = logging.getLogger(__name__)

CHECK_AFTER_SECONDS: Final = 10.0
"""A session that was idle for longer is asked for a NOOP before mails are claimed for it."""
CLOSE_AFTER_SECONDS: Final = 60.0
"""A session that is idle for this long is closed; servers wait for a command for five minutes (RFC 5321 §4.5.3.2.7), or less."""
FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 60.0
PLAIN_FOR_SECONDS: Final = 3_600.0
"""How long a relay that misbehaves in a pipeline is spoken to one command at a time."""
_SUSPICIONS: Final = 3
"""Pipelines in a row that fell silent half-way before the relay counts as misbehaving."""

Session: TypeAlias = PipelinedDriver | PlainDriver


class _Idle(NamedTuple):
    session: Session
    since: float


class Backoff:
    """When to try to connect again: twice as long after every failure, with jitter. Many failures at once count as one."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0
        self._until = 0.0

    def left(self, now: float) -> float:
        """Seconds until a connection may be tried."""
        return max(0.0, self._until - now)

    def failed(self, started: float, now: float, hint: float | None) -> None:
        if started < self._until:
            return
        wait = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        self._until = now + max(wait * self._random.uniform(0.5, 1.0), min(hint or 0.0, LONGEST_BACKOFF_SECONDS))

    def succeeded(self) -> None:
        self._failures = 0
        self._until = 0.0


class SmtpPool:
    """Implements `base.Pool` for a relay that speaks SMTP."""

    def __init__(self, name: str, relay: Relay, *, random: Random | None = None) -> None:
        self._name = name
        self._relay = relay
        self._slots = asyncio.Semaphore(relay.max_connections)
        self._most = relay.max_connections
        self._leased = 0
        self._idle: deque[_Idle] = deque()
        self._tls: ssl.SSLContext | None = None
        self._backoff = Backoff(random or Random())  # noqa: S311 - jitter
        self._plain_until = 0.0
        self._suspicions = 0
        self._failure = ""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._connections = SMTP_CONNECTIONS.labels(name)
        self._open = 0
        self._closed = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Driver]:
        async with self._slots:
            self._leased += 1
            try:
                session = await self._kept() or await self._connect()
                try:
                    yield session
                except BaseException:
                    self._retire(session)
                    raise
            finally:
                self._leased -= 1
            self._take_back(session)

    def keep_open(self, most: int) -> None:
        self._most = most
        self._retire_surplus()

    async def close(self) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._idle:
            self._retire(self._idle.pop().session)
        await asyncio.gather(*self._closing)

    # sessions

    async def _kept(self) -> Session | None:
        """The session that was used last, so that those beyond need grow old."""
        while self._idle:
            session, since = self._idle.pop()
            if session.usable and (self._now() - since < CHECK_AFTER_SECONDS or await self._answers(session)):
                return session
            self._retire(session)
        return None

    async def _answers(self, session: Session) -> bool:
        try:
            return await session.check()
        except asyncio.CancelledError:
            self._retire(session)
            raise

    async def _connect(self) -> Session:
        started = self._now()
        wait = self._backoff.left(started)
        if wait > 0:
            raise ConnectionFailed(f"waiting {wait:.1f} s: {self._failure}", retry_after_seconds=wait)
        try:
            if self._tls is None:
                self._tls = smtp_connect.tls_context(self._relay)
            smtp = await smtp_connect.connect(self._relay, self._tls)
        except ConnectionFailed as error:
            error.beside = self._open
            self._failure = str(error)
            self._backoff.failed(started, self._now(), error.retry_after_seconds)
            raise
        self._backoff.succeeded()
        self._connections.inc()
        self._open += 1
        kind = PipelinedDriver if self._pipelines(smtp) else PlainDriver
        return kind(smtp, self._relay, self._name)

    def _pipelines(self, smtp: SMTP) -> bool:
        return self._relay.pipelining and smtp.supports_extension("pipelining") and self._now() >= self._plain_until

    def _take_back(self, session: Session) -> None:
        self._judge(session)
        if not session.usable or self._closed:
            self._retire(session)
            return
        self._idle.append(_Idle(session, self._now()))
        self._retire_surplus()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(CLOSE_AFTER_SECONDS, self._sweep)

    def _judge(self, session: Session) -> None:
        """Stop pipelining with a server that cannot."""
        if session.suspect:
            self._suspicions += 1
        elif session.usable:
            self._suspicions = 0
        if session.misbehaved or self._suspicions >= _SUSPICIONS:
            self._suspicions = 0
            self._plain_until = self._now() + PLAIN_FOR_SECONDS
            _log.warning(
                "%s:%d loses its place in a pipeline: one command at a time for an hour (%s)",
                self._relay.host,
                self._relay.port,
                session.broken,
            )

    def _retire_surplus(self) -> None:
        while self._idle and len(self._idle) + self._leased > self._most:
            self._retire(self._idle.popleft().session)

    def _sweep(self) -> None:
        """Close what has been idle for too long; come back while anything is idle."""
        self._sweeper = None
        while self._idle and self._now() - self._idle[0].since >= CLOSE_AFTER_SECONDS:
            self._retire(self._idle.popleft().session)
        if self._idle:
            left = self._idle[0].since + CLOSE_AFTER_SECONDS - self._now()
            self._sweeper = self._loop.call_later(left, self._sweep)

    def _retire(self, session: Session) -> None:
        """Close a session without making anyone wait for its farewell."""
        self._connections.dec()
        self._open -= 1
        task = self._loop.create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
