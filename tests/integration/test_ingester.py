"""The ingester between a bus in memory and a real ClickHouse (chdb, in memory)."""

import asyncio
import contextlib

import msgspec
import pytest
from prometheus_client import REGISTRY

from analytics import ingester, progress
from analytics.clickhouse import tables
from analytics.clickhouse.client import Store
from analytics.errors import ClickHouseUnavailable
from analytics.ranges import Range
from analytics.reports import Reports
from analytics.rows import to_rows
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events import facts, streams
from events.bus import Message
from events.memory_bus import MemoryBus

EMPTY = ClickHouseSettings(url="chdb://", keep_days=0)
SETTINGS = AnalyticsSettings(batch_rows=40, batch_age_seconds=0.02, retry_base_seconds=0.01, retry_max_seconds=0.02)


class UnreliableStore(Store):
    """A ClickHouse that goes away when told, and keeps count of its inserts."""

    def __init__(self, settings):
        super().__init__(settings)
        self.away = False
        self.refused = asyncio.Event()
        self.tokens = []

    async def insert(self, table, columns, token):
        if self.away:
            self.refused.set()
            raise ClickHouseUnavailable("the test made it so")
        await super().insert(table, columns, token)
        self.tokens.append(token)


@pytest.fixture
async def store():
    opened = UnreliableStore(EMPTY)
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
def bus(memory_bus_in_real_time):
    return memory_bus_in_real_time


@contextlib.asynccontextmanager
async def running(bus, store):
    """An ingester, stopped at the end as SIGTERM would stop it."""
    stop = asyncio.Event()
    task = asyncio.create_task(ingester.run(bus, store, SETTINGS, clock=bus.clock, stop=stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


def accepted(number):
    return facts.EmailAccepted("spring", 1e9, f"m{number}", 1, f"{number}@example.com", "main", "gmail", 1.0)


async def publish(bus, *payloads):
    await bus.publish("EVENTS", [Message("events.accepted.spring", payload) for payload in payloads])


async def publish_accepted(bus, count, first=0):
    await publish(bus, *(facts.encode(accepted(number)) for number in range(first, first + count)))


async def until(holds):
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - what others do to the bus sets no event here
            await asyncio.sleep(0.005)


async def is_settled(bus):
    """Wait until every event is written down as ingested."""

    async def settled():
        return not await progress.lag(bus)

    await until(settled)


async def counted(store):
    """Mails in the table, and accepted by the table, by totals, by rates and by the latency histogram."""
    reports = Reports(store)
    ((_, mails),) = await store.query("exact_states", campaign="spring")
    latency, (provider,) = await reports.latency("spring"), await reports.providers("spring")
    rows = await store.query("rate", campaign="spring", since=0, step=60)
    return {mails, latency.count, provider.accepted, sum(row[1] for row in rows)}


async def test_every_event_is_counted_once_in_the_table_and_in_every_rollup(bus, store):
    await publish_accepted(bus, 130)
    async with running(bus, store):
        await is_settled(bus)
    assert await counted(store) == {130}
    assert len(store.tokens) >= 4


async def test_what_is_there_at_the_stop_is_ingested(bus, store):
    settings = msgspec.structs.replace(SETTINGS, batch_age_seconds=3_600)
    stop = asyncio.Event()
    task = asyncio.create_task(ingester.run(bus, store, settings, clock=bus.clock, stop=stop))
    await publish_accepted(bus, 5)
    stop.set()
    async with asyncio.timeout(20):
        await task
    assert await counted(store) == {5}
    assert await progress.lag(bus) == 0


async def test_while_clickhouse_is_away_nothing_counts_as_ingested_and_afterwards_nothing_is_missing(bus, store):
    store.away = True
    await publish_accepted(bus, 100)
    async with running(bus, store):
        await asyncio.wait_for(store.refused.wait(), 10)
        assert await progress.lag(bus) == 100
        store.away = False
        await is_settled(bus)
    assert await counted(store) == {100}


async def test_a_stop_while_clickhouse_is_away_leaves_the_events_on_the_bus(bus, store):
    store.away = True
    await publish_accepted(bus, 10)
    async with running(bus, store):
        await asyncio.wait_for(store.refused.wait(), 10)
    assert await progress.lag(bus) == 10


@pytest.mark.parametrize("was_inserted", [True, False], ids=["inserted", "not inserted"])
async def test_a_range_that_a_dead_ingester_cut_comes_before_anything_new(bus, store, was_inserted):
    await publish_accepted(bus, 30)
    book = progress.Book(await bus.bucket(streams.INGEST))
    cut = progress.with_cut(progress.beginning(), Range(1, 17), "dead", bus.clock() + 3_600)
    await book.write(cut)
    if was_inserted:
        columns = to_rows(await bus.read_range("EVENTS", 1, 17))
        await store.insert(tables.EVENTS, columns.events, cut.token(cut.range))
    async with running(bus, store):
        await is_settled(bus)
    assert await counted(store) == {30}
    assert store.tokens[was_inserted] == cut.token(cut.range)


async def test_gaps_in_the_stream_are_no_obstacle(bus, store):
    await publish_accepted(bus, 10)
    await bus.publish("EVENTS", [Message("events.gap.spring", b"")] * 5)
    await publish_accepted(bus, 10, first=10)
    await bus.purge("EVENTS", "events.gap.spring")
    async with running(bus, store):
        await is_settled(bus)
    assert await counted(store) == {20}


async def test_an_emptied_clickhouse_is_filled_again_from_the_stream(bus):
    for published, total in ((100, 100), (3, 103)):
        await publish_accepted(bus, published, first=total - published)
        store = UnreliableStore(EMPTY)
        async with running(bus, store):
            await is_settled(bus)
        assert await counted(store) == {total}
        await store.close()


async def test_a_new_stream_adds_to_what_an_old_one_left_in_clickhouse(bus, store):
    new_bus = MemoryBus()
    await new_bus.setup()
    for first, used in ((0, bus), (10, new_bus)):
        await publish_accepted(used, 10, first=first)
        async with running(used, store):
            await is_settled(used)
    assert await counted(store) == {20}


async def test_what_cannot_be_read_is_kept_and_counted_and_stops_nothing(bus, store):
    before = REGISTRY.get_sample_value("events_rejected_total")
    await publish(bus, b"?", facts.encode(accepted(1)), b"\xc1")
    async with running(bus, store):
        await is_settled(bus)
    assert await counted(store) == {1}
    assert REGISTRY.get_sample_value("events_rejected_total") == before + 2


async def publish_facts(bus, *told):
    await bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in told])


async def test_reactions_are_counted_and_leave_the_ledger_alone(bus, store):
    at = 1e9 + 100
    async with running(bus, store):
        await publish_facts(bus, facts.BatchPlanned("spring", 1e9, 1, 20))
        await publish_accepted(bus, 20)
        await is_settled(bus)
        reports = Reports(store, bus.clock)
        before = await reports.ledger("spring")
        await publish_facts(
            bus,
            facts.EmailOpened("spring", at, "m1", ""),
            facts.EmailOpened("spring", at + 70, "m1", ""),
            facts.EmailOpened("spring", at, "m2", "", "apple-mpp"),
            facts.EmailClicked("spring", at, "m1", "", 1, "https://shop.example/"),
            facts.EmailClicked("spring", at + 20, "m1", "", 2, "https://shop.example/sale"),
            facts.EmailClicked("spring", 1e9 + 2, "m3", "", 1, "https://shop.example/"),  # two seconds after its mail
            *(facts.EmailClicked("spring", at + n / 10, "m4", "", n, f"https://shop.example/{n}") for n in (1, 2, 3)),
            facts.EmailUnsubscribed("spring", at, "m1", "", "all"),
            facts.EmailUnsubscribed("spring", at, "m2", "", "all"),
            facts.EmailResubscribed("spring", at + 1, "m2", "", "all"),
            facts.EmailComplained("spring", at, "m5", ""),
        )
        await is_settled(bus)
    found = await reports.engagement("spring")
    assert (found.opens, found.machine_opens, found.unique_opens) == (3, 1, 1)
    assert (found.clicks, found.machine_clicks, found.unique_clicks) == (6, 4, 1)
    assert [(link.number, link.url, link.clicks, link.unique_clicks) for link in found.links][:1] == [
        (1, "https://shop.example/", 2, 1)
    ]
    assert (found.unsubscribed, found.complained) == (1, 1)
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == before
