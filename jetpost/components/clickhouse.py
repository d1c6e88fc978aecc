"""Clients of ClickHouse for a process; each part of it that asks or writes has one of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from analytics.clickhouse.client import Store
from analytics.settings import AnalyticsSettings
from jetpost.probes import Lacking
from jetpost.process import Process


@contextlib.asynccontextmanager
async def store(settings: AnalyticsSettings) -> AsyncIterator[Store]:
    """A client for one user, closed at the end."""
    opened = Store(settings.clickhouse)
    try:
        yield opened
    finally:
        await opened.close()


@contextlib.asynccontextmanager
async def watched(process: Process) -> AsyncIterator[None]:
    """The process is ready only while ClickHouse answers and has the tables of this release."""

    async def check() -> None:
        if lacking := await asked.lacking():
            raise Lacking(lacking)

    async with store(process.settings.analytics) as asked:
        process.health.add("clickhouse", check)
        yield


async def migrate(settings: AnalyticsSettings) -> None:
    """Bring the tables up to this release. Raises `AnalyticsError`."""
    async with store(settings) as opened:
        await opened.migrate()
