"""kill -9 for the ingester, at any moment: every event is counted once, in the table and in every rollup."""

import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from analytics import progress
from events import facts, ids, streams
from events.bus import Message

CHILD = Path(__file__).with_name("ingester_child.py")
SERVER = Path(__file__).parents[1] / "clickhouse_over_http.py"
MONTH_END = 1_796_083_200.0
EVENTS = 70_000
MOMENTS = (0.4, 0.6, 0.75, 0.85, 0.95)
"""When to kill, as shares of the time from cutting a range until it is settled."""


STEPS = ("cutting", "reading", "inserting events", "inserting campaign_facts", "settling")


def some_facts(count=EVENTS, first=0):
    """First attempts of a campaign whose ten seconds lie on both sides of the end of a month."""
    rng = random.Random(7 + first)
    for number in range(first, first + count):
        address = f"user{number}@example.com"
        at = MONTH_END - 5 + 10 * rng.random()
        mail = ("spring", at, ids.mail_id("spring", address), 1, address, "main", rng.choice(["gmail", "other"]))
        kind = rng.random()
        if kind < 0.8:
            yield facts.EmailAccepted(*mail, latency_seconds=rng.expovariate(1))
        elif kind < 0.9:
            yield facts.EmailDeferred(*mail, "soft", 452, "4.2.2", f"over quota by {number}", at + 60)
        else:
            yield facts.EmailBounced(*mail, "hard", 550, "5.1.1", f"<{address}>: unknown")


async def spawn(*arguments, **options):
    return await asyncio.create_subprocess_exec(sys.executable, CHILD, *map(str, arguments), **options)


async def wait_for(bucket, condition):
    """Return when the condition holds for the ingester's progress."""
    async with asyncio.timeout(60):
        async for entry in bucket.watch():
            if entry is not None and condition(progress.decode(entry.value)):
                return


async def kill_when_it_has_settled(url, folder, bucket):
    """Kill it when its first range is written down as inserted; returns the seconds since the cut."""
    child = await spawn("run", url, folder)
    await wait_for(bucket, lambda found: found.range.last > 0)
    cut_at = time.monotonic()
    await wait_for(bucket, lambda found: found.ingested > 0)
    child.kill()
    seconds = time.monotonic() - cut_at
    await child.wait()
    return seconds


async def kill_while_it_inserts(url, folder, bucket, delay_seconds):
    """Kill it a moment after it has cut a new range."""
    before = (await progress.Book(bucket).read()).range.last
    child = await spawn("run", url, folder)
    await wait_for(bucket, lambda found: found.range.last > before)
    await asyncio.sleep(delay_seconds)
    child.kill()
    await child.wait()


async def ask(folder):
    child = await spawn("ask", folder, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    return json.loads(output)


async def ingest_all(bus, url, folder, count):
    """Let it live until everything is in ClickHouse."""
    child = await spawn("run", url, folder)
    await wait_for(await bus.bucket(streams.INGEST), lambda found: found.ingested >= count)
    child.kill()
    await child.wait()


def require_exactly(counted, kinds):
    """The table and every rollup count these facts."""
    assert counted["mails"] == counted["totals"] == kinds
    assert {kind: count for kind, count in counted["rates"].items() if count} == kinds
    assert counted["latencies"] | counted["failures"] == kinds


async def test_killed_while_inserting_again_and_again_it_counts_every_event_once(nats_bus, nats_server, tmp_path):
    stated = list(some_facts())
    await nats_bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in stated])
    bucket = await nats_bus.bucket(streams.INGEST)
    seconds = await kill_when_it_has_settled(nats_server.url, tmp_path, bucket)
    died_at = [await progress.Book(bucket).read()]
    for moment in MOMENTS:
        if died_at[-1].range.last < EVENTS:
            await kill_while_it_inserts(nats_server.url, tmp_path, bucket, moment * seconds)
            died_at.append(await progress.Book(bucket).read())
    assert not all(found.inserted for found in died_at), "it never died between cutting and settling"
    await ingest_all(nats_bus, nats_server.url, tmp_path, EVENTS)
    require_exactly(await ask(tmp_path), dict(Counter(facts.type_of(fact) for fact in stated)))


@contextlib.asynccontextmanager
async def clickhouse(folder, port):
    """A server, which several ingesters can share; its URL."""
    options = {"stdout": asyncio.subprocess.PIPE}
    server = await asyncio.create_subprocess_exec(
        sys.executable, SERVER, "127.0.0.1", str(port), str(folder), "jetpost", "secret", **options
    )
    try:
        assert await asyncio.wait_for(server.stdout.readline(), 60) == b"ready\n"
        yield f"http://jetpost:secret@127.0.0.1:{port}/default"
    finally:
        server.kill()
        await server.wait()


async def test_several_at_work_of_which_one_after_the_other_is_killed_count_every_event_once(
    nats_bus, nats_server, tmp_path, free_port
):
    rng = random.Random(5)
    stated = list(some_facts())
    bucket = await nats_bus.bucket(streams.INGEST)
    async with clickhouse(tmp_path, free_port()) as url:
        children = [await spawn("run", nats_server.url, url) for _ in range(3)]
        owners = set()
        try:
            for number, start in enumerate(range(0, EVENTS, 5_000)):
                told = stated[start : start + 5_000]
                await nats_bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in told])
                if number % 2:  # one that is at work
                    await wait_for(bucket, lambda found: bool(found.open))
                    owners |= {one.owner for one in (await progress.Book(bucket).read()).open}
                    victim = children.pop(rng.randrange(len(children)))
                    victim.kill()
                    await victim.wait()
                    children.append(await spawn("run", nats_server.url, url))
            await wait_for(bucket, lambda found: found.ingested >= EVENTS)
        finally:
            for child in children:
                child.kill()
                await child.wait()
        assert len(owners) > 1, "one of them did everything"
        require_exactly(await ask(url), dict(Counter(facts.type_of(fact) for fact in stated)))


async def test_killed_before_and_after_each_step_across_the_end_of_a_month_it_counts_every_event_once(
    nats_bus, nats_server, tmp_path
):
    moments = [f"{when} {step}" for when in ("before", "after") for step in STEPS] * 2
    random.Random(11).shuffle(moments)
    stated = []
    for number, moment in enumerate(moments, 1):
        more = [*some_facts(300, first=len(stated)), facts.BatchPlanned("spring", MONTH_END, number, 300)]
        stated += more
        await nats_bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in more])
        child = await spawn("run", nats_server.url, tmp_path, moment)
        try:
            assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
        finally:
            if child.returncode is None:
                child.kill()
    await ingest_all(nats_bus, nats_server.url, tmp_path, len(stated))
    kinds = Counter(facts.type_of(fact) for fact in stated)
    assert kinds.pop("batch_planned") == len(moments)
    require_exactly(await ask(tmp_path), dict(kinds))
