"""Opening a connection to a relay with aiosmtplib: greeting, TLS, EHLO, AUTH. Every failure says what to look at."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cache
from typing import Final, NoReturn, cast

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPTimeoutError,
)

from events import replies
from sender.drivers.base import ConnectionFailed, Reply
from sender.settings import Relay

TURN_SECONDS: Final = 20.0
"""After this long in one batch no further mail is begun, so that a slow server cannot hold claimed mails for ever."""
QUIT_SECONDS: Final = 2.0
"""How long a session that ends waits for the answer to QUIT."""


def tls_context(relay: Relay) -> ssl.SSLContext | None:
    """What the relay's certificate is checked against; None where no TLS is used.

    Reads files and takes some 10 ms: make it once per pool. Raises `ConnectionFailed` for an unreadable `ca_file`.
    """
    if relay.tls == "none":
        return None
    try:
        context = ssl.create_default_context(cafile=relay.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConnectionFailed(f"ca_file {relay.ca_file!r} cannot be read: {error}") from error
    if not relay.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connect(relay: Relay, context: ssl.SSLContext | None) -> SMTP:
    """A client that is greeted, secured and authenticated as the relay asks for. Raises `ConnectionFailed`."""
    smtp = SMTP(
        hostname=relay.host,
        port=relay.port,
        timeout=relay.connect_timeout_seconds,
        use_tls=relay.tls == "implicit",
        start_tls=relay.tls == "starttls",
        tls_context=context,
        local_hostname=relay.helo_name or await asyncio.to_thread(_own_name),
    )
    try:
        await _open(smtp, relay)
    except (SMTPException, OSError, ValueError) as error:
        _explain(error, relay)
    return smtp


async def _open(smtp: SMTP, relay: Relay) -> None:
    try:
        await smtp.connect()
        if relay.username:
            await smtp.login(relay.username, relay.password)
        if smtp.is_ehlo_or_helo_needed:
            await _greet(smtp)
    except BaseException:
        transport = cast("asyncio.Transport | None", smtp.transport)
        if transport is not None:
            transport.abort()  # a polite end of TLS would wait 30 s for Exim, which does not answer it
        smtp.close()
        raise


@cache
def _own_name() -> str:
    """This machine's full name. Looking it up may ask the DNS and take seconds: once is enough."""
    return socket.getfqdn()


async def _greet(smtp: SMTP) -> None:
    try:
        await smtp.ehlo()
    except SMTPHeloError:
        await smtp.helo()


def _explain(error: Exception, relay: Relay) -> NoReturn:
    where = f"{relay.host}:{relay.port}"
    reply = _reply_of(error)
    hint = replies.retry_after_seconds(reply.text) if reply else None
    raise ConnectionFailed(f"{where}: {_what(error, relay, reply)}", reply=reply, retry_after_seconds=hint) from error


def _reply_of(error: Exception) -> Reply | None:
    if not isinstance(error, SMTPResponseException):
        return None
    return reply_of(error.code, error.message)


def reply_of(code: int, message: str) -> Reply:
    """From aiosmtplib's form of a reply, in which the codes are taken off the lines."""
    return replies.parse("\n".join(f"{code} {line}" for line in message.splitlines() or [""]))


def _what(error: Exception, relay: Relay, reply: Reply | None) -> str:
    said = f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " ") if reply else ""
    certificate = _certificate_error(error)
    if certificate is not None:
        return f"its certificate is not trusted: {certificate.verify_message}. Set ca_file, or host to the certificate's name"
    explanations: dict[type[Exception], str] = {
        SMTPAuthenticationError: f"it refused the user name and password of {relay.username!r}: {said}",
        SMTPConnectResponseError: f"it turned us away: {said}",
        SMTPTimeoutError: f"no answer within {relay.connect_timeout_seconds:g} s",
        SMTPConnectError: f"no connection: {error.__cause__ or error}",
        SMTPHeloError: f"it refused our greeting; set helo_name to this machine's full name: {said}",
        ssl.SSLError: f"TLS failed: {error}. Is tls = {relay.tls!r} right for this port?",
    }
    return next((words for kind, words in explanations.items() if isinstance(error, kind)), said or str(error))


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
