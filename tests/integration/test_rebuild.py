"""ClickHouse is emptied and filled again from EVENTS: a bus in memory and a real ClickHouse (chdb, in memory)."""

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from analytics import ingester, progress, rebuild
from analytics.clickhouse import tables
from analytics.clickhouse.client import Store
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events import facts
from events.bus import Message

SETTINGS = AnalyticsSettings(
    batch_rows=40, batch_age_seconds=0.01, take_over_seconds=0.2, retry_base_seconds=0.01, retry_max_seconds=0.02
)
SUMMED = ("outcomes", "latencies", "failures", "totals")


class Killed(BaseException):
    """kill -9."""


class MortalStore(Store):
    """A ClickHouse whose user dies when it has emptied it, or at its n-th insert after that."""

    dies_emptying = False
    dies_inserting = -1

    async def empty(self):
        await super().empty()
        if self.dies_emptying:
            raise Killed

    async def insert(self, table, columns, token):
        await super().insert(table, columns, token)
        self.dies_inserting -= 1
        if self.dies_inserting == 0:
            raise Killed


@pytest.fixture
async def store():
    opened = MortalStore(ClickHouseSettings(url="chdb://", keep_days=0))
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(rebuild, "LOOK_SECONDS", 0.0)


@pytest.fixture
async def bus(memory_bus_in_real_time, store):
    """Two hundred facts of every kind, in ClickHouse."""
    await state(memory_bus_in_real_time, *some_facts())
    await ingested(memory_bus_in_real_time, store)
    return memory_bus_in_real_time


def some_facts():
    rng = random.Random(3)
    yield facts.CampaignStarted("spring", 1e9, "Spring", "main")
    yield facts.BatchPlanned("spring", 1e9, 1, 190)
    yield facts.EmailOpened("spring", 1e9, "m1", "")
    yield facts.EmailClicked("spring", 1e9, "m1", "", 1, "https://shop.example/")
    for number in range(200):
        who = ("spring", 1e9 + number, f"m{number % 190}", 1 + number // 190, "jo@example.org", "main", "gmail")
        yield rng.choice(
            [
                facts.EmailAccepted(*who, rng.random()),
                facts.EmailDeferred(*who, "soft", 452, "", "full", 2e9),
                facts.EmailInDoubt(*who, "a worker died"),
                facts.EmailRequeued(*who),
            ]
        )


async def state(bus, *stated):
    await bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in stated])


@contextlib.asynccontextmanager
async def running(bus, store):
    stop = asyncio.Event()
    task = asyncio.create_task(ingester.run(bus, store, SETTINGS, clock=bus.clock, stop=stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def ingested(bus, store):
    async with running(bus, store):
        await settled(bus)


async def settled(bus):
    async with asyncio.timeout(20):
        while True:
            request = await rebuild.look(bus)
            if not (request and request.under_way) and not await progress.lag(bus):
                return request
            await asyncio.sleep(0.005)


async def everything(store):
    """The rows of every table, with rollups summed up."""
    found = {}
    for name in tables.ALL:
        final = "FINAL" if name in (*SUMMED, "campaign_facts") else ""
        rows = await store._run(lambda client, name=name, final=final: client.query(f"SELECT * FROM {name} {final}"))
        found[name] = Counter(map(tuple, rows.result_rows))
    assert all(found[name] for name in tables.ALL if name != "rejected_events")
    return found


async def ask(bus, *, drop_older=False):
    return await rebuild.ask(bus, drop_older=drop_older, now=bus.clock())


async def test_table_and_rollups_are_the_same_before_and_after(bus, store):
    before = await everything(store)
    async with running(bus, store):
        await ask(bus)
        assert (await settled(bus)).state == "done"
    assert await everything(store) == before


async def test_what_happens_meanwhile_is_counted_once(bus, store):
    async with running(bus, store):
        await ask(bus)
        for number in range(50):
            await state(bus, facts.EmailExpired("summer", 1e9, f"s{number}", 1, "jo@example.org", "main", "gmail"))
            await asyncio.sleep(0.002)
        await settled(bus)
    assert dict(await store.query("exact_states", campaign="summer")) == {"expired": 50}


@pytest.mark.parametrize(
    ("emptying", "inserting"), [(True, -1), (False, 1), (False, 2), (False, 4)], ids=["emptied", "1st", "2nd", "4th"]
)
async def test_killed_at_any_moment_it_is_finished_by_the_next_ingester(bus, store, emptying, inserting):
    before = await everything(store)
    store.dies_emptying, store.dies_inserting = emptying, inserting
    await ask(bus)
    with pytest.raises(Killed):
        async with running(bus, store) as task:
            await asyncio.wait({task})
    store.dies_emptying, store.dies_inserting = False, -1
    async with running(bus, store):
        assert (await settled(bus)).state == "done"
    assert await everything(store) == before


async def test_what_events_has_forgotten_is_not_thrown_away_unless_that_is_meant(bus, store):
    before = await everything(store)
    await bus.delete("EVENTS", range(1, 100))
    async with running(bus, store):
        await ask(bus)
        refused = await settled(bus)
        assert refused.state == "refused"
        assert "--drop-older" in refused.reason
        assert await everything(store) == before
        await ask(bus, drop_older=True)
        assert (await settled(bus)).state == "done"
    ((rows, oldest),) = await store.query("holdings")
    assert (rows, oldest) == (105, 100)


async def test_asking_twice_is_one_rebuild(bus):
    first = await ask(bus)
    assert await ask(bus, drop_older=True) == first


async def test_an_ingester_that_was_stopped_in_the_middle_goes_on_where_it_was(bus, store):
    before = await everything(store)
    stop = asyncio.Event()

    class Stopping(MortalStore):
        async def insert(self, table, columns, token):
            await super().insert(table, columns, token)
            stop.set()

    store.__class__ = Stopping
    await ask(bus)
    await asyncio.wait_for(ingester.run(bus, store, SETTINGS, clock=bus.clock, stop=stop), 20)
    assert (await rebuild.look(bus)).state == "filling"
    store.__class__ = MortalStore
    async with running(bus, store):
        await settled(bus)
    assert await everything(store) == before
