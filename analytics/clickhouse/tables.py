"""The tables that rows are inserted into: names, columns and the types that values are sent as.

Strings are sent plainly and become LowCardinality in the server, which is faster than making dictionaries in Python;
times are sent as milliseconds.
"""

from __future__ import annotations

from typing import Final

import msgspec

_TIME: Final = "DateTime64(3, 'UTC')"


class Table(msgspec.Struct, frozen=True):
    name: str
    schema: tuple[tuple[str, str], ...]

    @property
    def columns(self) -> list[str]:
        return [name for name, _ in self.schema]

    @property
    def types(self) -> list[str]:
        return [kind for _, kind in self.schema]


EVENTS: Final = Table(
    "events",
    (
        ("sequence", "UInt64"),
        ("campaign", "String"),
        ("mail_id", "String"),
        ("attempt", "UInt16"),
        ("type", "String"),
        ("at", _TIME),
        ("recipient", "String"),
        ("pool", "String"),
        ("provider", "String"),
        ("failure_class", "String"),
        ("code", "UInt16"),
        ("enhanced", "String"),
        ("reply", "String"),
        ("pattern", "String"),
        ("latency_seconds", "Float32"),
        ("retry_at", _TIME),
    ),
)
CAMPAIGN_FACTS: Final = Table(
    "campaign_facts",
    (
        ("sequence", "UInt64"),
        ("campaign", "String"),
        ("type", "String"),
        ("at", _TIME),
        ("name", "String"),
        ("pool", "String"),
        ("status", "String"),
        ("batch", "UInt64"),
        ("planned", "UInt64"),
        ("batches", "UInt64"),
        ("duplicates", "UInt64"),
        ("rejected", "UInt64"),
        ("queued", "UInt64"),
        ("failed", "UInt64"),
        ("suppressed", "UInt64"),
        ("cancelled", "UInt64"),
        ("raw_bytes", "UInt64"),
        ("queued_bytes", "UInt64"),
    ),
)
REACTIONS: Final = Table(
    "reactions",
    (
        ("sequence", "UInt64"),
        ("campaign", "String"),
        ("mail_id", "String"),
        ("type", "String"),
        ("at", _TIME),
        ("recipient", "String"),
        ("link", "UInt16"),
        ("url", "String"),
        ("machine", "String"),
        ("detail", "String"),
        ("after_seconds", "Float32"),
        ("key", "UInt64"),
        ("kind", "String"),
        ("reply", "String"),
    ),
)
REJECTED_EVENTS: Final = Table(
    "rejected_events",
    (("sequence", "UInt64"), ("subject", "String"), ("payload", "String"), ("reason", "String")),
)

ALL: Final = (
    EVENTS.name,
    CAMPAIGN_FACTS.name,
    REACTIONS.name,
    REJECTED_EVENTS.name,
    "outcomes",
    "totals",
    "latencies",
    "failures",
    "trails",
    "contested",
    "doubtful",
)
"""With the rollups, which fill themselves."""
