"""Connecting to an IMAP server (RFC 3501, RFC 9051) and logging in, with imaplib; blocking.

`MailboxAway` is raised for what may work later, `MailboxRefused` for what a person must mend.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from typing import Final

from analytics.errors import MailboxAway, MailboxRefused
from analytics.post.settings import ImapSettings
from events.errors import describe

_SILENCE_SECONDS: Final = 20.0
_LARGEST: Final = 1 << 20
"""Bytes of one piece of an answer. We ask for less; who sends more is not read."""
_PASSING: Final = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\b", re.IGNORECASE)
_ABROAD: Final = re.compile(r"[^\x20-\x7e]+|&")


def connect(settings: ImapSettings) -> imaplib.IMAP4:
    """A session that is logged in."""
    client = _open(settings)
    try:
        if client.state != "AUTH":
            _log_in(client, settings)
    except BaseException:
        hang_up(client)
        raise
    return client


def hang_up(client: imaplib.IMAP4) -> None:
    """Whatever state it is in; repeatable."""
    with contextlib.suppress(OSError):
        client.shutdown()


@contextlib.contextmanager
def told(settings: ImapSettings) -> Iterator[None]:
    """What imaplib raises, in our words."""
    where = f"{settings.host}:{_port(settings)}"
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise MailboxRefused(
            f"{where} has no certificate that is trusted here ({error.verify_message}): set bounces.imap.ca_file to the"
            " authority that made it, and bounces.imap.host to the name in it"
        ) from error
    except (OSError, ValueError, imaplib.IMAP4.error) as error:
        if "WRONG_VERSION_NUMBER" in str(error):
            raise MailboxRefused(
                f"{where} does not begin with TLS: set bounces.imap.tls to starttls, or bounces.imap.port to another"
            ) from error
        raise MailboxAway(f"{where}: {describe(error)}") from error


def refusal(said: str, advice: str) -> MailboxRefused | MailboxAway:
    """The server said no; some of its reasons pass (RFC 5530 §3)."""
    if _PASSING.search(said):
        return MailboxAway(f"the server says: {said}")
    return MailboxRefused(f"{advice} (the server says: {said})")


def quoted(folder: str) -> str:
    """A folder's name as servers want it: in modified UTF-7 (RFC 3501 §5.1.3)."""
    name = _ABROAD.sub(lambda found: "&-" if found[0] == "&" else _shifted(found[0]), folder)
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shifted(text: str) -> str:
    return "&" + b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"


def _open(settings: ImapSettings) -> imaplib.IMAP4:
    port = _port(settings)
    if settings.tls == "implicit":
        return _Tls(settings.host, port, ssl_context=_context(settings), timeout=_SILENCE_SECONDS)
    client = _Plain(settings.host, port, timeout=_SILENCE_SECONDS)
    if settings.tls == "starttls":
        try:
            _start_tls(client, settings)
        except BaseException:
            hang_up(client)
            raise
    return client


def _start_tls(client: imaplib.IMAP4, settings: ImapSettings) -> None:
    if "STARTTLS" not in client.capabilities:
        raise MailboxRefused(
            f"{settings.host}:{_port(settings)} offers no STARTTLS: set bounces.imap.tls to implicit, and the port to 993"
        )
    client.starttls(_context(settings))


def _port(settings: ImapSettings) -> int:
    return settings.port or (993 if settings.tls == "implicit" else 143)


def _context(settings: ImapSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise MailboxRefused(f"bounces.imap.ca_file: {settings.ca_file} cannot be read: {error.strerror}") from error
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _log_in(client: imaplib.IMAP4, settings: ImapSettings) -> None:
    """By PLAIN (RFC 4616), which any character of a password survives, else by LOGIN."""
    name, password = settings.username, settings.password
    try:
        if "AUTH=PLAIN" in client.capabilities:
            client.authenticate("PLAIN", lambda _: f"\0{name}\0{password}".encode())
        elif "LOGINDISABLED" in client.capabilities:
            raise MailboxRefused(
                f"{settings.host} takes no password this way: set bounces.imap.tls to implicit or starttls, as it wants"
            )
        else:
            client.login(name, password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise refusal(
            str(error), f"{settings.host} does not let {name!r} in: set bounces.imap.username and bounces.imap.password"
        ) from error


class _Bounded:
    def read(self, size: int) -> bytes:
        if size > _LARGEST:
            raise imaplib.IMAP4.abort(f"the server sends {size} bytes that nobody asked for")
        data: bytes = super().read(size)  # type: ignore[misc]
        return data


class _Plain(_Bounded, imaplib.IMAP4):
    pass


class _Tls(_Bounded, imaplib.IMAP4_SSL):
    pass
