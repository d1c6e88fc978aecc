"""Clients of ClickHouse for a process; each part of it that asks or writes has one of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from analytics.clickhouse.client import Store
from analytics.settings import AnalyticsSettings


@contextlib.asynccontextmanager
async def store(settings: AnalyticsSettings) -> AsyncIterator[Store]:
    """A client for one user, closed at the end."""
    opened = Store(settings.clickhouse)
    try:
        yield opened
    finally:
        await opened.close()


async def migrate(settings: AnalyticsSettings) -> None:
    """Bring the tables up to this release. Raises `AnalyticsError`."""
    async with store(settings) as opened:
        await opened.migrate()
