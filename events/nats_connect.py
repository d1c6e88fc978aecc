"""How nats-py is told to connect: addresses, who we are, TLS."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any, Final

from events import permissions
from events.errors import BusError, describe

if TYPE_CHECKING:
    from events.nats_bus import BusSettings

_is_subject: Final = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII).fullmatch


def options(settings: BusSettings) -> dict[str, Any]:
    """Those of nats-py's `connect`. Raises `BusError`, which names the setting that cannot be used."""
    found: dict[str, Any] = {
        "servers": [address.strip() for address in settings.url.split(",")],
        "dont_randomize": not settings.randomize,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 5,
        "pending_size": 0,  # while the connection is lost calls fail at once, rather than take effect some time later
        "ping_interval": 20,
    }
    if settings.user:
        found |= {"user": settings.user, "password": settings.password}
    if settings.credentials_file:
        found["user_credentials"] = settings.credentials_file
    found["inbox_prefix"] = _inbox_prefix(settings)
    if settings.ca_file or settings.cert_file:
        found["tls"] = _tls(settings)
    return found


def _inbox_prefix(settings: BusSettings) -> str:
    """Raises `BusError` where it could not begin a subject."""
    prefix = settings.inbox_prefix or permissions.inbox_prefix(settings.user)
    if not _is_subject(prefix):
        raise BusError(
            f"{prefix!r} cannot begin the subjects of answers: it may have letters, digits, - and _, and dots between them;"
            " set nats.inbox_prefix to what the server allows this user to subscribe to"
        )
    return prefix


def _tls(settings: BusSettings) -> ssl.SSLContext:
    """Raises `BusError`, which names the setting, where a file is not what it should be."""
    setting = f"nats.ca_file: {settings.ca_file}"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            setting = f"nats.cert_file and nats.key_file: {settings.cert_file}, {settings.key_file or 'not set'}"
            context.load_cert_chain(settings.cert_file, settings.key_file or None, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise BusError(f"{setting}: {describe(error)}") from error
    return context


def _no_passphrase() -> str:
    """Without it OpenSSL would ask at the terminal."""
    raise ValueError("the key has a passphrase")
