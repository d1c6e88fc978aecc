"""Latency histograms on a logarithmic scale: eight buckets to each doubling, so a quantile is within 5 %.

Bucket `i` holds what is above 2^((i-1)/8) and up to 2^(i/8) seconds. ClickHouse computes the same numbers as it inserts
(`migrations/0001_events.sql`); quantiles of buckets add up over any grouping, which stored quantiles do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

PER_DOUBLING: Final = 8
LOWEST: Final = -80
"""About a millisecond, and everything below."""
HIGHEST: Final = 160
"""About twelve days, and everything above."""

Counts: TypeAlias = Mapping[int, int]
"""How many per bucket."""


def bucket_of(seconds: float) -> int:
    if seconds <= 0:
        return LOWEST
    return min(HIGHEST, max(LOWEST, math.ceil(math.log2(seconds) * PER_DOUBLING)))


def upper_bound(bucket: int) -> float:
    """Seconds."""
    return float(2.0 ** (bucket / PER_DOUBLING))


def quantile(counts: Counts, q: float) -> float:
    """The value below which the share `q` lies, in seconds, interpolated within its bucket; 0 where nothing was counted."""
    total = sum(counts.values())
    rank = q * total
    below = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if count and below + count >= rank:
            return upper_bound(bucket) * 2 ** (((rank - below) / count - 1) / PER_DOUBLING)
        below += count
    return 0.0


def doubling(counts: Counts) -> list[tuple[float, int]]:
    """(upper bound in seconds, count) with doubling bounds, without gaps from the first to the last that holds anything."""
    coarse: dict[int, int] = {}
    for bucket, count in counts.items():
        exponent = -(-bucket // PER_DOUBLING)
        coarse[exponent] = coarse.get(exponent, 0) + count
    if not coarse:
        return []
    return [(2.0**exponent, coarse.get(exponent, 0)) for exponent in range(min(coarse), max(coarse) + 1)]
