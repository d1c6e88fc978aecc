"""Suppression on real servers: nats-server, sender processes, the mailbox simulator, and what a person types."""

import asyncio
import csv
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import smtp_servers

from events import facts, ids, schemas, states, streams, subjects, suppression, suppression_book
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings, NatsBus
from events.patience import Patience
from events.schemas import Campaign, Mail
from events.suppression import PLAIN, Entry, Removal
from events.suppression_list import SuppressionList

JETPOST = Path(sys.executable).with_name("jetpost")
SETTINGS = """
[sender]
fetch_mails = 4
prefetch_mails = 8
fetch_wait_seconds = 0.5
[sender.retry]
soft_interval_seconds = 2
[sender.pools.main]
port = {port}
max_connections = 1
pipeline_depth = 1
"""
SLOW = [f"p{number}+slow@gmail.com" for number in range(60)]
LAST, FULL, LATER_FULL, UNKNOWN = SLOW[-1], "full+full@gmail.com", "other+full@gmail.com", "gone+unknown@gmail.com"


@pytest.fixture
async def bus(nats_bus):
    return nats_bus


@pytest.fixture
def jetpost(tmp_path, empty_nats_server):
    """Starts a command of ours in the folder of the test."""

    async def start(*arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JETPOST_")}
        environment["JETPOST_NATS_URL"] = empty_nats_server.url
        log = (tmp_path / "log").open("ab")
        with log:
            return await asyncio.create_subprocess_exec(
                JETPOST, *arguments, cwd=tmp_path, env=environment, stdout=log, stderr=log
            )

    return start


@asynccontextmanager
async def senders(jetpost, count):
    running = [await jetpost("sender", "run") for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            await process.wait()


async def said(jetpost, *arguments):
    assert await (await jetpost("suppression", *arguments)).wait() == 0


async def plan(bus, *addresses, **fields):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time(), **fields)
    await (await bus.blobs()).put("spring/dictionary", b"Hello")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    mails = [mail_to(one) for one in addresses]
    due = subjects.mail_due("main", "gmail", "spring")
    await bus.publish(
        "MAIL", [Message(due, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1)) for mail in mails]
    )
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))


def mail_to(address):
    mail_id = ids.mail_id("spring", address)
    message = f"Message-ID: <{mail_id}.spring@example.com>\r\n\r\nHello\r\n".encode()
    return Mail(mail_id, address, 1, time.time(), Compressor(b"Hello").compress(message))


async def told(bus):
    return [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]


async def outcomes(bus):
    """By address the words of its facts, in the order of attempts."""
    found = {}
    for fact in sorted(await told(bus), key=lambda fact: fact.attempt):
        found.setdefault(fact.recipient, []).append(facts.type_of(fact))
    return found


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.01)


async def test_who_leaves_while_a_campaign_is_sent_gets_nothing_of_what_is_queued_or_waits_for_a_retry(
    bus, jetpost, tmp_path
):
    async with smtp_servers.simulator(tmp_path / "simulator", slow_seconds=0.1) as relay:
        (tmp_path / "jetpost.toml").write_text(SETTINGS.format(port=relay.port))
        await plan(bus, FULL, LATER_FULL, UNKNOWN, *SLOW, list="news")

        async def both_full_are_deferred():
            found = await outcomes(bus)
            return all(found.get(one) == ["deferred"] for one in (FULL, LATER_FULL)) and UNKNOWN in found

        async def everything_is_settled():
            return not (await bus.stream_state("MAIL")).messages

        async with senders(jetpost, 2):
            await until(both_full_are_deferred)
            left = [Entry(one, "unsubscribe", time.time(), list="news") for one in (LAST, FULL)]
            await suppression.suppress(bus, [*left, Entry(LATER_FULL, "unsubscribe", time.time(), list="another")])
            await until(everything_is_settled)
        found = await outcomes(bus)
        assert found.pop(LAST) == ["suppressed"]
        assert found.pop(FULL) == ["deferred", "suppressed"]
        assert found.pop(LATER_FULL) == ["deferred", "deferred", "deferred", "failed"]
        assert found.pop(UNKNOWN) == ["bounced"]
        assert found == {one: ["accepted"] for one in SLOW[:-1]}
        assert sorted(await relay.accepted()) == sorted(ids.mail_id("spring", one) for one in SLOW[:-1])
        standing = states.standing(await told(bus))
        assert len(standing) == len(SLOW) + 3
        known = SuppressionList(bus, PLAIN, time.time)
        await known.catch_up()
        assert known.among("", [UNKNOWN, FULL, *SLOW]) == {UNKNOWN: "hard_bounce"}


async def test_a_sender_that_starts_sends_to_nobody_who_was_on_the_list_by_then(bus, jetpost, tmp_path):
    everybody = [f"p{number}@gmail.com" for number in range(300)]
    with (tmp_path / "gone.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["email"])
        writer.writerows([f"p{number}@gmail.com"] for number in range(0, 60_000, 2))
    await said(jetpost, "import", "gone.csv", "--reason", "unsubscribe")
    assert (await bus.stream_state(streams.SUPPRESSION.name)).messages == 15
    async with smtp_servers.simulator(tmp_path / "simulator") as relay:
        (tmp_path / "jetpost.toml").write_text(SETTINGS.format(port=relay.port))
        await plan(bus, *everybody)

        async def everybody_has_an_outcome():
            return len(await outcomes(bus)) == len(everybody)

        async with senders(jetpost, 1):
            await until(everybody_has_an_outcome)
        words = await outcomes(bus)
        assert [words[one] for one in everybody] == [["suppressed"], ["accepted"]] * 150
        assert len(await relay.accepted()) == 150


async def followers(url, count):
    """As many connections of their own, each following the list."""
    found = []
    for number in range(count):
        connection = await NatsBus.connect(BusSettings(url=url), name=f"follower {number}")
        known = SuppressionList(connection, PLAIN, time.time)
        await known.catch_up()
        found.append((connection, known, asyncio.create_task(known.follow(Patience("suppression", 0.05)))))
    return found


@pytest.fixture
async def four(bus, empty_nats_server):
    found = await followers(empty_nats_server.url, 4)
    yield [known for _, known, _ in found]
    for connection, _, task in found:
        task.cancel()
        await asyncio.wait({task})
        await connection.close()


async def test_an_entry_is_in_force_everywhere_within_a_second(bus, four):
    for number in range(20):
        address = f"p{number}@example.com"
        await suppression.suppress(bus, [Entry(address, "unsubscribe", time.time())])
        began = time.monotonic()
        while not all(known.among("", [address]) for known in four):  # noqa: ASYNC110 -- it comes from a server
            await asyncio.sleep(0.001)
        assert time.monotonic() - began < 1


async def test_followers_agree_after_everything_was_compacted_while_others_wrote(bus, four):
    people = [f"p{number}@example.com" for number in range(3_000)]
    await suppression.suppress(bus, [Entry(one, "manual", time.time()) for one in people])

    async def write():
        for number in range(0, 300, 3):
            await suppression.suppress(bus, [Removal(people[number], time.time())])
            await suppression.suppress(bus, [Entry(people[number + 1], "complaint", time.time())])

    async def compact():
        for _ in range(10):
            try:
                await suppression_book.compact(bus, PLAIN, time.time)
            except suppression_book.CompactedMeanwhile:
                await asyncio.sleep(0)

    await asyncio.gather(write(), compact(), compact())
    removed = set(people[0:300:3])
    expected = {one: "manual" for one in people if one not in removed}
    expected |= dict.fromkeys(people[1:300:3], "complaint")

    async def all_agree():
        return all(known.among("", people) == expected for known in four)

    await until(all_agree, 10)
    fresh = SuppressionList(bus, PLAIN, time.time)
    await fresh.catch_up()
    assert fresh.among("", people) == expected
