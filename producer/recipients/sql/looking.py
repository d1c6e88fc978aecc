"""A look at an audience in a database, for whoever checks a campaign: how many rows, without a long wait."""

from __future__ import annotations

import contextlib
import json
from typing import Final

import msgspec

from producer.errors import AudienceUnreadable
from producer.recipients.sql import dialects
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.connection import Connection

_COUNT_SECONDS: Final = 2.0
"""Somebody waits for it who wants to hear of mistakes."""


class Size(msgspec.Struct, frozen=True):
    rows: int
    exact: bool
    """False: what the database's planner expects."""

    def __str__(self) -> str:
        return f"{self.rows:,} rows" if self.exact else f"about {self.rows:,} rows, as the database expects"


def size_of(audience: SqlAudience) -> Size | None:
    """None where nothing tells without reading everything. Raises `DatabaseUnreachable`."""
    connection = Connection(audience.name, audience.database)
    try:
        connection.limit(_COUNT_SECONDS)
        if connection.dialect.timeout(_COUNT_SECONDS) or connection.dialect.as_json:  # the latter is a file at hand
            with contextlib.suppress(AudienceUnreadable):
                return Size(connection.ask(dialects.counted(audience.query))[0][0], exact=True)
        if question := connection.dialect.estimate(audience.query):
            with contextlib.suppress(AudienceUnreadable, LookupError, ValueError, TypeError):
                (plan,) = json.loads(connection.ask(question)[0][0])
                return Size(int(plan["Plan"]["Plan Rows"]), exact=False)
        return None
    finally:
        connection.close()
