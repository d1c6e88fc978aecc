"""Asks for an address at Amazon SNS: the certificate that it signs with, or what confirms a subscription.

Who calls has decided whether it may be asked for (`analytics.callbacks.sns`). No redirects, no proxies of the environment, a
short time, a small answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, TypeAlias
from urllib.parse import urlsplit

WITHIN_SECONDS: Final = 5.0
MOST_BYTES: Final = 64 * 1024

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Asks for an address; raises `FetchFailed`."""


class FetchFailed(Exception):
    """An address did not answer as it should."""


async def https_get(url: str) -> bytes:
    """The body of a 200 answer."""
    host = urlsplit(url).hostname or ""

    def connection() -> HTTPSConnection:
        return HTTPSConnection(host, timeout=WITHIN_SECONDS, context=ssl.create_default_context())

    return await get(url, connection)


async def get(url: str, connection: Callable[[], HTTPConnection]) -> bytes:
    """The same over a connection of the caller's choice."""
    try:
        async with asyncio.timeout(2 * WITHIN_SECONDS):
            return await asyncio.to_thread(_get, url, connection)
    except TimeoutError:
        raise FetchFailed("it takes too long") from None


def _get(url: str, connection: Callable[[], HTTPConnection]) -> bytes:
    parts = urlsplit(url)
    connected = connection()
    try:
        connected.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connected.getresponse()
        body = answer.read(MOST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise FetchFailed(str(error) or type(error).__name__) from error
    finally:
        connected.close()
    if answer.status != 200:
        raise FetchFailed(f"it answers {answer.status}")
    if len(body) > MOST_BYTES:
        raise FetchFailed(f"it sends more than {MOST_BYTES} bytes")
    return body
