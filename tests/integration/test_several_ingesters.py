"""Several ingesters between a bus in memory and a real ClickHouse (chdb, in memory): they share the ranges, and inherit them."""

import asyncio
import contextlib
import itertools
from collections import Counter

import pytest
from msgspec.structs import replace
from process_watching import until

from analytics import ingester, progress, rebuild
from analytics.clickhouse.client import Store
from analytics.errors import ClickHouseUnavailable
from analytics.reports import Reports
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events import facts, streams
from events.bus import Message

EMPTY = ClickHouseSettings(url="chdb://", keep_days=0)
SETTINGS = AnalyticsSettings(
    batch_rows=20,
    batch_age_seconds=0.01,
    take_over_seconds=0.3,
    retry_base_seconds=0.01,
    retry_max_seconds=0.02,
)
HOURS = 3_600.0


class WatchedStore(Store):
    """Keeps count of its inserts; may be away, and may be held up before or after an insert."""

    def __init__(self):
        super().__init__(EMPTY)
        self.tokens = []
        self.away = False
        self.holds_up = ""
        self.held_up, self.goes_on = asyncio.Event(), asyncio.Event()
        self.cannot_empty = False
        self.tried_to_empty = asyncio.Event()
        self.emptied = asyncio.Event()

    async def empty(self):
        if self.cannot_empty:
            self.tried_to_empty.set()
            raise ClickHouseUnavailable("the test made it so")
        await super().empty()
        self.emptied.set()

    async def insert(self, table, columns, token):
        await self._pass("before")
        if self.away:
            self.held_up.set()
            raise ClickHouseUnavailable("the test made it so")
        await super().insert(table, columns, token)
        self.tokens.append((table.name, token))
        await self._pass("after")

    async def _pass(self, place):
        if self.holds_up == place:
            self.held_up.set()
            await self.goes_on.wait()


@pytest.fixture
async def stores():
    """One for each of three ingesters; all are the same ClickHouse."""
    opened = [WatchedStore() for _ in range(3)]
    await opened[0].migrate()
    yield opened
    for store in opened:
        await store.close()


@pytest.fixture
def bus(memory_bus_in_real_time):
    return memory_bus_in_real_time


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(rebuild, "LOOK_SECONDS", 0.0)


@contextlib.asynccontextmanager
async def running(bus, *stores, take_over_seconds=SETTINGS.take_over_seconds):
    """An ingester for each store, stopped at the end as SIGTERM would stop them, unless they are gone."""
    settings = AnalyticsSettings(
        **{name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
        | {"take_over_seconds": take_over_seconds}
    )
    stop = asyncio.Event()
    tasks = [asyncio.create_task(ingester.run(bus, store, settings, clock=bus.clock, stop=stop)) for store in stores]
    try:
        yield tasks
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await asyncio.wait(tasks)


async def publish(bus, *told):
    await bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in told])


def accepted(first, count):
    mail = ("jo@example.org", "main", "gmail", 1.0)
    return [facts.EmailAccepted("spring", 1e9, f"m{number}", 1, *mail) for number in range(first, first + count)]


async def settled(bus):
    async def nothing_lags():
        return not await progress.lag(bus)

    await until(nothing_lags)


async def all_work(bus, stores):
    """Returns when each has begun, which takes over what is open then, and has brought something home."""
    async with asyncio.timeout(20):
        while not all(store.tokens for store in stores):
            await publish(bus, *(facts.EmailOpened("before", 1e9, "m1", "") for _ in range(20)))
            await settled(bus)
    for store in stores:
        store.tokens.clear()


async def counted(store):
    """Mails in the table, and accepted by the table, by totals, by rates and by the latency histogram."""
    reports = Reports(store)
    ((_, mails),) = await store.query("exact_states", campaign="spring")
    latency, (provider,) = await reports.latency("spring"), await reports.providers("spring")
    rows = await store.query("rate", campaign="spring", since=0, step=60)
    return {mails, latency.count, provider.accepted, sum(row[1] for row in rows)}


async def test_they_share_the_work_and_each_range_is_inserted_by_one_of_them(bus, stores):
    async with running(bus, *stores, take_over_seconds=HOURS):
        await all_work(bus, stores)
        for start in range(0, 1_000, 100):
            await publish(bus, *accepted(start, 100))
            await settled(bus)
    assert await counted(stores[0]) == {1_000}
    inserts = Counter(itertools.chain.from_iterable(store.tokens for store in stores))
    assert set(inserts.values()) == {1}
    assert all(store.tokens for store in stores), "one of them did nothing"


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_one_leaves_open_that_is_gone_another_brings_home(bus, stores, moment):
    gone, *others = stores
    gone.holds_up = moment
    await publish(bus, *accepted(0, 100))
    async with running(bus, gone) as (lost,):
        await gone.held_up.wait()
        lost.cancel()
    known = await progress.Book(await bus.bucket(streams.INGEST)).read()
    assert (known.cut, known.ingested) == (20, 0)
    async with running(bus, *others):
        await settled(bus)
    assert await counted(stores[0]) == {100}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_while_one_hangs_the_others_go_on_and_what_it_inserts_when_it_comes_back_counts_once(bus, stores, moment):
    hanging, *others = stores
    hanging.holds_up = moment
    await publish(bus, *accepted(0, 20))
    async with running(bus, hanging):
        await hanging.held_up.wait()
        async with running(bus, *others, take_over_seconds=HOURS):
            await publish(bus, *accepted(20, 200))
            await settled(bus)
            hanging.holds_up = ""
            hanging.goes_on.set()
            await publish(bus, *accepted(220, 20))
            await settled(bus)
    assert await counted(stores[0]) == {240}


async def test_one_that_could_not_reach_clickhouse_for_long_does_not_insert_what_others_did(bus, stores):
    cut_off, *others = stores
    cut_off.away = True
    began = bus.clock()
    await publish(bus, *accepted(0, 20))
    async with running(bus, cut_off):
        await cut_off.held_up.wait()
        async with running(bus, *others):
            await settled(bus)
            await until(lambda: bus.clock() > began + SETTINGS.take_over_seconds)
        cut_off.away = False
        await publish(bus, *accepted(20, 20))
        await settled(bus)
    ((_, token),) = cut_off.tokens
    assert token.endswith(":21-40")
    assert await counted(stores[0]) == {40}


async def one_holds_up_what_another_waits_for(bus, stores):
    """One of two ingesters has a range of mails and hangs, the other one of clicks in them; returns the one that hangs."""
    await all_work(bus, stores)
    for store in stores:
        store.holds_up = "before"
    await publish(bus, *accepted(0, 20))
    await until(lambda: any(store.held_up.is_set() for store in stores))
    (slow,) = (store for store in stores if store.held_up.is_set())
    (quick,) = (store for store in stores if store is not slow)
    quick.holds_up = ""
    await publish(bus, facts.EmailClicked("spring", 1e9 + 1, "m3", "", 1, "https://shop.example/"))
    bucket = await bus.bucket(streams.INGEST)

    async def both_are_open():
        return len((await progress.Book(bucket).read()).open) == 2

    await until(both_are_open)
    return slow


async def test_clicks_are_timed_when_everything_before_them_is_there(bus, stores):
    async with running(bus, *stores[:2], take_over_seconds=HOURS):
        slow = await one_holds_up_what_another_waits_for(bus, stores[:2])
        slow.holds_up = ""
        slow.goes_on.set()
        await settled(bus)
    found = await Reports(stores[0], bus.clock).engagement("spring")
    assert (found.clicks, found.machine_clicks) == (1, 1), "a second after its mail it was no person"


async def test_not_too_many_ranges_are_cut_behind_one_that_is_open(bus, stores):
    """ClickHouse would forget its token."""
    gone, other, _ = stores
    gone.holds_up = "after"
    await publish(bus, *accepted(0, 20))
    async with running(bus, gone) as (lost,):
        await gone.held_up.wait()
        lost.cancel()
    book = progress.Book(await bus.bucket(streams.INGEST))
    await book.change(lambda known: replace(known, cuts=progress.MOST_BEHIND_AN_OPEN_RANGE + 1))
    await publish(bus, *accepted(20, 100))
    async with running(bus, other) as _:
        await settled(bus)
    ((_, first), *_) = other.tokens
    assert first.endswith(":1-20"), "nothing was cut before that"
    assert await counted(other) == {120}


async def test_a_rebuild_while_several_are_at_work_counts_everything_once(bus, stores):
    await publish(bus, *accepted(0, 200))
    async with running(bus, *stores):
        await settled(bus)
        await rebuild.ask(bus, drop_older=False, now=bus.clock())
        for start in range(200, 300, 10):
            await publish(bus, *accepted(start, 10))
            await asyncio.sleep(0)

        async def done():
            return (await rebuild.look(bus)).state == "done"

        await until(done)
        await settled(bus)
    assert await counted(stores[0]) == {300}


async def test_several_that_find_clickhouse_emptied_fill_it_once(bus, stores):
    await publish(bus, *accepted(0, 200))
    async with running(bus, *stores):
        await settled(bus)
    await stores[0].empty()
    await publish(bus, *accepted(200, 5))
    async with running(bus, *stores):
        await settled(bus)
    assert await counted(stores[0]) == {205}


async def test_one_that_is_emptied_while_a_range_is_open_is_filled_again(bus, stores):
    gone, *others = stores
    await publish(bus, *accepted(0, 200))
    async with running(bus, *others):
        await settled(bus)
    gone.holds_up = "before"
    await publish(bus, *accepted(200, 20))
    async with running(bus, gone) as (lost,):
        await gone.held_up.wait()
        lost.cancel()
    await others[0].empty()
    others[0].emptied.clear()
    others[1].emptied.clear()
    async with running(bus, *others):
        await until(lambda: others[0].emptied.is_set() or others[1].emptied.is_set())
        await settled(bus)
    assert await counted(others[0]) == {220}


async def test_one_that_could_not_empty_the_tables_for_long_leaves_no_gap_in_what_others_filled(bus, stores):
    cut_off, *others = stores
    cut_off.cannot_empty = True
    await publish(bus, *accepted(0, 200))
    async with running(bus, cut_off):
        await settled(bus)
        await rebuild.ask(bus, drop_older=False, now=bus.clock())
        await cut_off.tried_to_empty.wait()
        async with running(bus, *others):

            async def done():
                return (await rebuild.look(bus)).state == "done"

            await until(done)
            assert await counted(others[0]) == {200}
            cut_off.cannot_empty = False
            await cut_off.emptied.wait()
            await settled(bus)
    assert await counted(others[0]) == {200}
