"""kill -9 for the ingester, at any moment: every event is counted once, in the table and in every rollup."""

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

from analytics import progress
from events import facts, ids, streams
from events.bus import Message

CHILD = Path(__file__).with_name("ingester_child.py")
MONTH_END = 1_796_083_200.0
EVENTS = 100_000
KILLS = 5


def some_facts():
    """First attempts of a campaign whose ten seconds lie on both sides of the end of a month."""
    rng = random.Random(7)
    for number in range(EVENTS):
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


async def kill_while_it_inserts(url, folder, bucket, delay_seconds):
    """Kill it a moment after it has cut a new range; returns whether it died before that was written down as inserted."""
    before = (await progress.Book(bucket).read()).range.last
    child = await spawn("run", url, folder)
    await wait_for(bucket, lambda found: found.range.last > before and not found.inserted)
    await asyncio.sleep(delay_seconds)
    child.kill()
    await child.wait()
    return not (await progress.Book(bucket).read()).inserted


async def ask(folder):
    child = await spawn("ask", folder, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    return json.loads(output)


async def test_killed_while_inserting_again_and_again_it_counts_every_event_once(nats_bus, nats_server, tmp_path):
    stated = list(some_facts())
    await nats_bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in stated])
    bucket = await nats_bus.bucket(streams.INGEST)
    rng = random.Random(11)
    died_inserting = 0
    for _ in range(KILLS):
        if (await progress.Book(bucket).read()).range.last >= EVENTS:
            break
        died_inserting += await kill_while_it_inserts(nats_server.url, tmp_path, bucket, rng.uniform(0.0, 0.15))
    assert died_inserting
    child = await spawn("run", nats_server.url, tmp_path)
    await wait_for(bucket, lambda found: found.ingested >= EVENTS)
    child.kill()
    await child.wait()

    kinds = dict(Counter(facts.type_of(fact) for fact in stated))
    counted = await ask(tmp_path)
    assert counted["mails"] == counted["totals"] == kinds
    assert {kind: count for kind, count in counted["rates"].items() if count} == kinds
    assert counted["latencies"] | counted["failures"] == kinds
