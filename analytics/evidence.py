"""Doubts that readers resolve: who opens a mail, follows its links or leaves the list by it has got it.

Nobody asks at each click. Mails in doubt are few and listed apart, so every few seconds ClickHouse is asked which of them
somebody reacted to; nearly always it is none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Final

from analytics.clickhouse.client import Store
from analytics.errors import AnalyticsError
from analytics.patience import Patience
from analytics.settings import AnalyticsSettings
from events import doubts
from events.bus import Bus
from events.patience import Stopped, sleep

EVERY_SECONDS: Final = 10.0
TOGETHER: Final = 1_000

_log = logging.getLogger(__name__)


async def run(
    bus: Bus, store: Store, settings: AnalyticsSettings, *, clock: Callable[[], float], stop: asyncio.Event
) -> None:
    """Look until `stop` is set."""
    patience = Patience("evidence", settings, stop)
    try:
        while not await sleep(EVERY_SECONDS, stop):
            try:
                await patience.insist(partial(look, bus, store, clock()))
            except AnalyticsError:
                _log.exception("doubts are left as they are: what readers did cannot be asked for")
    except Stopped:
        _log.debug("stopping; the next process looks again")


async def look(bus: Bus, store: Store, now: float) -> int:
    """Resolve what readers resolved by reacting; returns how many. Raises `RetryLater` and `ClickHouseUnavailable`."""
    resolved = 0
    for campaign, rows in groupby(await store.query("evidence", limit=TOGETHER), itemgetter(0)):
        found = await doubts.find(bus, campaign, {mail for _, mail in rows})
        resolved += len(
            await doubts.resolve(
                bus, found, "accepted", by="reader", note="its reader reacted to it, or its ESP told of it", at=now
            )
        )
    if resolved:
        _log.info("%d mails that were in doubt have arrived: their readers reacted to them", resolved)
    return resolved
