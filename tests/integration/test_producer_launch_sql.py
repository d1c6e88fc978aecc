"""Launches of audiences in databases, killed at every single step while the rows change, and gone on with.

At every step with SQLite, at some with PostgreSQL, where a launch takes a tenth of a second for each connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import databases
import pytest
from databases import ID, People, PostgresPeople, SqlitePeople, planned, refill, settings_for, write_campaign
from fakes import FakeClock
from process_watching import until
from producing import Killed, Life, Mortal

from events import campaigns, streams
from events.memory_bus import MemoryBus
from producer import errors
from producer.campaign.check import check
from producer.launch import Launched, Progress, launch

ROWS = [(n * 10, f"p{n}@example.com") for n in range(1, 15)]
TROUBLE = [(45, "P3@Example.com"), (55, "nobody"), (85, None), (None, "no.key@example.com"), (145, "P1@example.com")]


@pytest.fixture(params=["sqlite", "postgresql"])
def people(request, tmp_path) -> People:
    return SqlitePeople(tmp_path) if request.param == "sqlite" else PostgresPeople(request.getfixturevalue("postgres"))


@pytest.fixture
def folder(tmp_path) -> Path:
    write_campaign(tmp_path)
    return tmp_path


async def run(bus, folder: Path, people: People, batch_size: int = 3, on_progress=lambda _: None) -> Launched:
    settings = settings_for(people, batch_size)
    checked = check(folder / "campaign.toml", ["relay"], 1_800_000_000.0, settings)
    assert checked.problems == []
    return await launch(bus, checked, settings, clock=FakeClock(), on_progress=on_progress)


async def test_a_query_becomes_batches_in_the_order_of_its_keys(memory_bus, folder, people) -> None:
    refill(people, [*reversed(ROWS), *TROUBLE])
    result = await run(memory_bus, folder, people)
    rejects = folder / "sale.rejects.csv"
    assert result == Launched(ID, 14, 5, duplicates=2, rejected=3, rejects=rejects, resumed=False, cancelled=False)
    found = await planned(memory_bus)
    assert [recipient.address for recipient in found] == [email for _, email in ROWS]
    assert [recipient.values for recipient in found] == [(f"N{key}",) for key, _ in ROWS]
    assert Counter(line.split(",")[0] for line in rejects.read_text().splitlines()) == Counter(["line", "55", "85", ""])


async def killed_at(calls: int, clock: FakeClock, folder: Path, people: People) -> tuple[MemoryBus, bool]:
    bus = MemoryBus(clock)
    await bus.setup()
    try:
        await run(Mortal(bus, Life(calls)), folder, people)
    except Killed:
        return bus, True
    return bus, False


async def test_killed_at_any_step_a_launch_goes_on_and_plans_everybody_once(folder, people) -> None:
    refill(people, [*ROWS, *TROUBLE])
    clock, calls, killed = FakeClock(), 0, True
    while killed:
        bus, killed = await killed_at(calls, clock, folder, people)
        clock.advance(3_600)  # the server has forgotten every message id
        if not await is_planned(bus):
            result = await run(bus, folder, people)
            assert (result.planned, result.duplicates, result.rejected) == (14, 2, 3), calls
        assert [r.address for r in await planned(bus)] == [email for _, email in ROWS], calls
        rejected = (folder / "sale.rejects.csv").read_text().splitlines()
        assert Counter(line.split(",")[0] for line in rejected) == Counter(["line", "55", "85", ""]), calls
        assert stages(bus) == [], calls
        calls += 1 if isinstance(people, SqlitePeople) else 13
    assert calls > 100


async def test_rows_that_change_between_two_runs_are_planned_once_and_none_is_skipped(folder, people) -> None:
    clock, calls, killed, gone_on = FakeClock(), 0, True, 0
    while killed:
        refill(people, ROWS)
        bus, killed = await killed_at(calls, clock, folder, people)
        people.execute(
            "INSERT INTO people VALUES (15, 'early@example.com', 'X'), (995, 'late@example.com', 'X')",
            "UPDATE people SET email = 'moved@example.com' WHERE id = 50",
            "UPDATE people SET name = 'Changed' WHERE id IN (40, 60)",
            "DELETE FROM people WHERE id IN (20, 140)",
            "INSERT INTO people VALUES (141, 'p2@example.com', 'came back with another key')",
        )
        if not await is_planned(bus):
            gone_on += (await run(bus, folder, people)).resumed
        found = Counter(recipient.address for recipient in await planned(bus))
        assert set(found.values()) == {1}, calls
        always_there = {email for key, email in ROWS if key not in {50, 140}}
        assert always_there <= set(found), calls
        assert len({"p5@example.com", "moved@example.com"} & set(found)) == 1, calls
        calls += 3 if isinstance(people, SqlitePeople) else 17
    assert gone_on > 5


def stages(bus: MemoryBus) -> list[str]:
    """What is kept of batches and not cleared away."""
    return [name for name in bus._stores[streams.BLOBS]._data if "/stage/" in name]


async def is_planned(bus) -> bool:
    return any(known.planned is not None for known in await campaigns.all_of(bus))


async def test_of_two_runs_at_once_the_first_gives_way_and_leaves_nothing_behind(memory_bus, folder, people) -> None:
    refill(people, ROWS)
    second: list[Launched] = []

    class Overtaken(MemoryBus):
        async def publish(self, stream, messages):
            stored = await super().publish(stream, messages)
            if messages[0].id == f"{ID}/batch/1" and not second:
                second.append(await run(self, folder, people))
            return stored

    memory_bus.__class__ = Overtaken
    with pytest.raises(errors.LaunchedElsewhere):
        await run(memory_bus, folder, people)
    assert second[0].planned == len(await planned(memory_bus)) == 14
    assert stages(memory_bus) == []


async def test_a_run_that_was_thought_dead_cannot_change_what_the_next_one_kept(memory_bus, folder, people) -> None:
    """Its rows are older. It has cut batch 2 when the other one takes over, changes rows, and publishes a batch 2 of its own."""
    refill(people, ROWS)

    class Overtaken(MemoryBus):
        overtaken = False

        async def room_is_asked_for(self) -> None:
            if not self.overtaken and await self.count_of("batches"):
                self.overtaken = True
                people.execute("UPDATE people SET email = 'new@example.com' WHERE id = 40")
                await run(self, folder, people)

        async def count_of(self, _: str) -> int:
            return (await self.stream_state("BATCHES")).messages

        async def storage(self):
            await self.room_is_asked_for()
            return await super().storage()

    memory_bus.__class__ = Overtaken
    with pytest.raises(errors.LaunchedElsewhere):
        await run(memory_bus, folder, people)
    found = [recipient.address for recipient in await planned(memory_bus)]
    assert "new@example.com" in found
    assert "p4@example.com" not in found


class LateBlobs:
    """The run that was taken over from gets to the end of its step just before the new one asks for the kept batch."""

    def __init__(self, blobs, late) -> None:
        self._blobs = blobs
        self._late = late

    def __getattr__(self, name: str):
        return getattr(self._blobs, name)

    async def get(self, name: str) -> bytes:
        if "/stage/" in name:
            await self._late(name, await self._blobs.get(name))
        return await self._blobs.get(name)


async def test_what_the_run_before_publishes_at_the_last_moment_counts(folder, people) -> None:
    refill(people, ROWS)
    batch_two = f"{ID}/batch/2"

    class Dying(MemoryBus):
        async def publish(self, stream, messages):
            if messages[0].id == batch_two:
                self.last = (stream, messages)
                raise Killed
            return await super().publish(stream, messages)

    class Late(MemoryBus):
        async def blobs(self, store=streams.BLOBS):
            return LateBlobs(await super().blobs(store), self.publish_the_last)

        async def publish_the_last(self, stage: str, _: bytes) -> None:
            await self.publish(*self.last)
            await (await super().blobs()).delete(stage)

    bus = Dying(FakeClock())
    await bus.setup()
    with pytest.raises(Killed):
        await run(bus, folder, people)
    bus.__class__ = Late
    assert (await run(bus, folder, people)).planned == 14
    assert [r.address for r in await planned(bus)] == [email for _, email in ROWS]


async def test_another_query_is_not_gone_on_with(folder, people) -> None:
    refill(people, ROWS)
    bus, _ = await killed_at(90, FakeClock(), folder, people)
    write_campaign(folder, databases.CAMPAIGN.replace("FROM people", "FROM people WHERE id > 20"))
    with pytest.raises(errors.AudienceChanged):
        await run(bus, folder, people)


async def test_without_the_plans_of_its_batches_a_launch_does_not_go_on(folder, people) -> None:
    refill(people, ROWS)
    bus, _ = await killed_at(120, FakeClock(), folder, people)
    await (await bus.blobs()).delete(f"{ID}/plan/1")
    with pytest.raises(errors.PlanLost):
        await run(bus, folder, people)


@pytest.mark.parametrize("ties", [3, 4, 11])
async def test_rows_with_one_key_stay_in_one_batch(folder, people, ties: int) -> None:
    rows = [(n - n % ties, f"p{n}@example.com") for n in range(23)]
    refill(people, rows)
    clock, calls, killed = FakeClock(), 0, True
    while killed:
        bus, killed = await killed_at(calls, clock, folder, people)
        if not await is_planned(bus):
            await run(bus, folder, people)
        assert sorted(r.address for r in await planned(bus)) == sorted(email for _, email in rows), calls
        calls += 7 if isinstance(people, SqlitePeople) else 41


def many_people(postgres) -> PostgresPeople:
    """So many that they are not on their way all at once."""
    people = PostgresPeople(postgres)
    people.execute(
        "DROP TABLE IF EXISTS people",
        "CREATE TABLE people (id bigint PRIMARY KEY, email text, name text)",
        "INSERT INTO people SELECT n, 'p' || n || '@example.com', 'N' || n FROM generate_series(1, 100000) AS n",
    )
    return people


async def test_what_changes_while_a_launch_reads_is_not_seen_by_it(memory_bus, folder, postgres) -> None:
    people = many_people(postgres)
    changed = False

    class Meanwhile(MemoryBus):
        async def publish(self, stream, messages):
            nonlocal changed
            if messages[0].id == f"{ID}/batch/1" and not changed:
                changed = True
                people.execute(
                    "UPDATE people SET email = 'moved' || id || '@example.com' WHERE id > 90000",
                    "DELETE FROM people WHERE id BETWEEN 80000 AND 90000",
                    "INSERT INTO people SELECT n, 'new' || n || '@example.com', '' FROM generate_series(200000, 200999) AS n",
                )
            return await super().publish(stream, messages)

    memory_bus.__class__ = Meanwhile
    result = await run(memory_bus, folder, people, batch_size=10_000)
    assert changed
    assert result.planned == 100_000
    assert [r.address for r in await planned(memory_bus)] == [f"p{n}@example.com" for n in range(1, 100_001)]


async def test_progress_of_a_launch_that_goes_on_counts_what_was_before(folder, people) -> None:
    refill(people, [*ROWS, *TROUBLE])
    bus, _ = await killed_at(130, FakeClock(), folder, people)
    seen: list[Progress] = []
    await run(bus, folder, people, on_progress=seen.append)
    assert seen[-1] == Progress(rows=19, planned=14, duplicates=2, rejected=3)


async def test_a_launch_whose_database_breaks_off_says_how_to_go_on(memory_bus, folder, postgres) -> None:
    people = many_people(postgres)
    broken = False

    class Meanwhile(MemoryBus):
        async def publish(self, stream, messages):
            nonlocal broken
            if messages[0].id == f"{ID}/batch/1" and not broken:
                broken = True
                people.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'jetpost' AND query LIKE '%ORDER BY%'"
                )
            return await super().publish(stream, messages)

    memory_bus.__class__ = Meanwhile
    with pytest.raises(errors.QueryFailed, match=r"\d+0,000 are planned; the same command goes on behind them\.$"):
        await run(memory_bus, folder, people, batch_size=10_000)
    result = await run(memory_bus, folder, people, batch_size=10_000)
    assert (result.planned, result.resumed) == (100_000, True)
    assert [r.address for r in await planned(memory_bus)] == [f"p{n}@example.com" for n in range(1, 100_001)]


async def test_a_launch_that_is_stopped_ends_its_query(memory_bus, folder, postgres) -> None:
    """Behind the check, the table becomes a view that sleeps."""
    people = PostgresPeople(postgres)
    refill(people, ROWS)
    settings = settings_for(people)
    checked = check(folder / "campaign.toml", ["relay"], 1_800_000_000.0, settings)
    stopping = asyncio.Event()

    class Slowly(MemoryBus):
        async def publish(self, stream, messages):
            if messages[0].id == f"{ID}/campaign_started":
                people.execute(
                    "ALTER TABLE people RENAME TO quick",
                    "CREATE VIEW people AS SELECT quick.* FROM quick, pg_sleep(60)",
                )
                stopping.set()
            return await super().publish(stream, messages)

    memory_bus.__class__ = Slowly
    launching = asyncio.create_task(
        launch(memory_bus, checked, settings, clock=FakeClock(), on_progress=lambda _: None)
    )
    try:
        await stopping.wait()
        asleep = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'jetpost' AND wait_event = 'PgSleep'"
        await until(lambda: postgres.execute(asleep))
        launching.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(asyncio.CancelledError):
                await launching
        await until(lambda: not postgres.execute(asleep))
    finally:
        people.execute("DROP VIEW people", "ALTER TABLE quick RENAME TO people")
