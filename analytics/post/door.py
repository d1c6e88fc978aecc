"""Takes bounce mail by LMTP (RFC 2033) or SMTP (RFC 5321); the only importer of aiosmtpd.

A mail is answered when it is stored, or was found to tell us nothing. While NATS is away it is put off (451), and the server that
brings it keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, Final

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from analytics.post.settings import BounceSettings
from events.errors import BusError

Take = Callable[[list[str], bytes], Awaitable[object]]
"""Keeps one mail, given where it was sent to. Raises `BusError`: then it was not kept."""

_IDENT: Final = "Jetpost"
_SILENCE_SECONDS: Final = 120.0
_MOST_CONNECTIONS: Final = 100
_NOT_STORED: Final = "451 4.3.0 Not stored, try again later"

_log = logging.getLogger(__name__)


class Handler:
    """What aiosmtpd asks."""

    def __init__(self, take: Take, domains: Collection[str]) -> None:
        self._take = take
        self._domains = frozenset(domain.lower() for domain in domains)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """One recipient a mail: with LMTP each would need an answer of its own."""
        if self._domains and address.rpartition("@")[2].lower() not in self._domains:
            return "550 5.7.1 Mail to this domain is not taken here"
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        content = envelope.original_content or b""
        try:
            await self._take(list(envelope.rcpt_tos), content)
        except BusError as error:
            _log.warning("a mail is put off: %s", error)
            return _NOT_STORED
        return "250 2.0.0 Taken"

    async def handle_exception(self, error: Exception) -> str:
        """What nobody expected: aiosmtpd would refuse the mail for good, and what it tells would be lost."""
        _log.error("a mail is put off: taking it failed", exc_info=error)
        return _NOT_STORED


@contextlib.asynccontextmanager
async def listening(settings: BounceSettings, take: Take) -> AsyncIterator[tuple[str, int]]:
    """Listens inside; yields host and port. Raises `OSError` where it cannot."""
    handler, loop = Handler(take, settings.domains), asyncio.get_running_loop()
    kind = LMTP if settings.protocol == "lmtp" else SMTP
    options: dict[str, Any] = {
        "data_size_limit": settings.max_message_bytes,
        "enable_SMTPUTF8": True,
        "ident": _IDENT,
        "timeout": _SILENCE_SECONDS,
        "loop": loop,
    }
    server = await loop.create_server(
        lambda: kind(handler, **options), settings.host, settings.port, backlog=_MOST_CONNECTIONS
    )
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port
    finally:
        server.close()
        await server.wait_closed()
