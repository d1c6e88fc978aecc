"""The pages and documents that people ask for, and every query behind them, timed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from analytics.clickhouse.client import Parameter, Store
from analytics.reports import EventFilter, Reports
from analytics.web.snapshots import Composer
from events.bus import Bus

REPEATS: Final = 20
LIMIT_MS: Final = 50.0
"""What a query may take, whatever lies in the table."""

RAW: Final = frozenset({"exact_states", "standings", "holdings"})
"""Read every event of a campaign, by their nature: when one is closed, reconciled, or ClickHouse rebuilt. No page asks them."""


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds."""

    median: float
    p95: float


class Watched(Store):
    """A store that notes how long each query took."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - those of `Store`
        super().__init__(*arguments)
        self.seconds: dict[str, list[float]] = defaultdict(list)

    async def query(self, name: str, **parameters: Parameter) -> list[tuple[Any, ...]]:
        began = time.perf_counter()
        rows = await super().query(name, **parameters)
        self.seconds[name].append(time.perf_counter() - began)
        return rows


def timing(seconds: Sequence[float]) -> Timing:
    ordered = sorted(seconds)
    return Timing(
        round(ordered[len(ordered) // 2] * 1e3, 1), round(ordered[max(0, round(len(ordered) * 0.95) - 1)] * 1e3, 1)
    )


async def ask(
    store: Watched, bus: Bus, campaign: str, repeats: int = REPEATS
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Timings by query, and by page. Every answer is asked for anew: nothing is remembered from one to the next."""
    pages: dict[str, Timing] = {}
    for name, question in _pages(store, bus, campaign).items():
        took = []
        for repeat in range(repeats + 1):
            began = time.perf_counter()
            await question()
            if repeat:  # the first one reads what the disk has
                took.append(time.perf_counter() - began)
        pages[name] = timing(took)
    return {name: timing(took) for name, took in sorted(store.seconds.items())}, pages


def _pages(store: Store, bus: Bus, campaign: str) -> dict[str, Callable[[], Awaitable[object]]]:
    def reports() -> Reports:
        return Reports(store)

    def composer() -> Composer:
        return Composer(bus, reports(), time.time)

    watched = composer()

    recipient = EventFilter(campaign=campaign, recipient="person.77077@example.com")
    rare = EventFilter(campaign=campaign, types=("in_doubt",))
    return {
        "overview, every second": watched.overview,
        "overview, the first": lambda: composer().overview(),
        "a campaign's page, live": lambda: composer().live(campaign),
        "a campaign's summary": lambda: composer().detail(campaign),
        "ledger": lambda: reports().ledger(campaign),
        "providers": lambda: reports().providers(campaign),
        "failures": lambda: reports().failures(campaign),
        "doubts": lambda: reports().doubts(campaign),
        "events, the newest": lambda: reports().events(EventFilter(campaign=campaign)),
        "events of one recipient": lambda: reports().events(recipient),
        "events of a rare kind": lambda: reports().events(rare),
        "rate of all campaigns, an hour": lambda: reports().rate(None, time.time() - 3_600, 60),
    }
