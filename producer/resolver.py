"""Asks the DNS; the only importer of aiodns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aiodns
import pycares

_TIMEOUT_SECONDS: Final = 2.0
_TRIES: Final = 2
_NO_SUCH: Final = frozenset({pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND})


class Unanswered(Exception):
    """The DNS did not answer, or not with what was asked for."""


class Resolver:
    """Asks `servers` (`address` or `address:port`), or those of the system where there are none given. `Unanswered` is raised
    where they do not tell; a name without such a record has an empty answer."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._resolver = aiodns.DNSResolver(list(servers) or None, timeout=_TIMEOUT_SECONDS, tries=_TRIES)

    async def exchangers(self, domain: str) -> list[str]:
        """The hosts of the domain's MX records, the preferred first (RFC 5321 §5.1)."""
        found = [data for data in await self._ask(domain, "MX") if isinstance(data, pycares.MXRecordData)]
        return [record.exchange for record in sorted(found, key=lambda record: record.priority)]

    async def texts(self, name: str) -> list[str]:
        """The texts of the name's TXT records, each whole: a record's strings are joined."""
        found = [data for data in await self._ask(name, "TXT") if isinstance(data, pycares.TXTRecordData)]
        return [record.data.decode("utf-8", "replace") for record in found]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            found = await self._resolver.query_dns(name, kind)
        except aiodns.error.DNSError as error:
            if error.args and error.args[0] in _NO_SUCH:
                return []
            raise Unanswered(f"{name}: {error.args[-1] if error.args else error}") from error
        return [record.data for record in found.answer]

    async def close(self) -> None:
        await self._resolver.close()
