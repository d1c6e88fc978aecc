"""Which mails were planned already: exact on the 80 bits of a mail id, in 13 bytes each (docs/decisions/0005-duplicates.md)."""

from __future__ import annotations

from typing import Final

_BUCKETS_POWER: Final = 18
_ENTRY_BYTES: Final = 8


class Seen:
    """A set of 10-byte digests that only grows.

    The first 18 bits choose a bucket, the last 8 bytes lie in it one after the other; the two overlap, so that together they
    are the whole digest. Buckets grow by themselves: there is never a moment with the set in memory twice.
    """

    def __init__(self) -> None:
        self._buckets: list[bytearray | None] = [None] * (1 << _BUCKETS_POWER)

    def add(self, digest: bytes) -> bool:
        """Whether it is new."""
        place = int.from_bytes(digest[:3], "big") >> (24 - _BUCKETS_POWER)
        bucket, entry = self._buckets[place], digest[2:]
        if bucket is None:
            self._buckets[place] = bytearray(entry)
            return True
        at = bucket.find(entry)
        while at > 0 and at % _ENTRY_BYTES:  # the end of one entry and the beginning of the next may read like a third
            at = bucket.find(entry, at + 1)
        if at >= 0:
            return False
        bucket += entry
        return True
