"""Asks the DNS where a domain's mail goes; the only importer of aiodns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiodns
import pycares

_TIMEOUT_SECONDS: Final = 2.0
_TRIES: Final = 2
_NO_SUCH: Final = frozenset({pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND})


class ExchangersUnknown(Exception):
    """The DNS did not answer, or not with what was asked for."""


class Exchangers:
    """A resolver over `servers` (`address` or `address:port`), or those of the system where there are none given."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._resolver = aiodns.DNSResolver(list(servers) or None, timeout=_TIMEOUT_SECONDS, tries=_TRIES)

    async def of(self, domain: str) -> list[str]:
        """The hosts of the domain's MX records, the preferred first (RFC 5321 §5.1); none where it has no such record.

        Raises `ExchangersUnknown`.
        """
        try:
            found = await self._resolver.query_dns(domain, "MX")
        except aiodns.error.DNSError as error:
            if error.args and error.args[0] in _NO_SUCH:
                return []
            raise ExchangersUnknown(f"{domain}: {error}") from error
        records = [record.data for record in found.answer if isinstance(record.data, pycares.MXRecordData)]
        return [record.exchange for record in sorted(records, key=lambda record: record.priority)]

    async def close(self) -> None:
        await self._resolver.close()
