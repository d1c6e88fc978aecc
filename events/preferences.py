"""Who does not want their opens and clicks counted: the bucket `preferences`, an entry for each address that said so.

It holds for all campaigns, past and to come, until its owner takes it back, and it never expires.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import blake2b

import msgspec

from events import streams
from events.addresses import identity
from events.bus import Bus


class Preference(msgspec.Struct, frozen=True):
    address: str
    at: float
    """When it was said, Unix seconds."""
    tracked: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Preference).decode


def key_of(address: str) -> str:
    """A bucket's keys have no `@`."""
    return blake2b(identity(address).encode(), digest_size=16).hexdigest()


async def say(bus: Bus, preference: Preference) -> None:
    """Of two that were said the later one holds, in whatever order they come. Raises `RetryLater` and `RevisionMismatch`."""
    bucket = await bus.bucket(streams.PREFERENCES)
    key = key_of(preference.address)
    known = await bucket.get(key)
    if known is None or not known.value or _decode(known.value).at <= preference.at:
        await bucket.update(key, _encode(preference), known.revision if known else 0)


async def refusers(bus: Bus) -> frozenset[str]:
    """The addresses (`identity`) of all who do not want to be counted. Raises `RetryLater`."""
    bucket = await bus.bucket(streams.PREFERENCES)
    said = [_decode(entry.value) for entry in await bucket.entries()]
    return frozenset(identity(preference.address) for preference in said if not preference.tracked)


async def follow(bus: Bus) -> AsyncIterator[tuple[str, Preference | None]]:
    """Every preference by its key, and every change; None: it was deleted. Never ends. Raises `RetryLater`."""
    bucket = await bus.bucket(streams.PREFERENCES)
    async for entry in bucket.watch():
        if entry is not None:
            yield entry.key, None if entry.deleted else _decode(entry.value)
