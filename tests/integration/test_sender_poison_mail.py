"""A mail that kills real sender processes on a real nats-server."""

import asyncio
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from events import dead_letters, facts, ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings, NatsBus
from events.schemas import Campaign, Mail

CHILD = Path(__file__).with_name("sender_child.py")
NAMES = [*(f"before{n}" for n in range(10)), "poison", *(f"behind{n}" for n in range(10))]


@pytest.fixture
async def bus(empty_nats_server):
    connected = await NatsBus.connect(BusSettings(url=empty_nats_server.url, ack_wait_seconds=2.0), name="test")
    await connected.setup()
    yield connected
    await connected.close()


@pytest.fixture
async def impatient_bus(empty_nats_server):
    connected = await NatsBus.connect(BusSettings(url=empty_nats_server.url, ack_wait_seconds=0.4), name="test")
    await connected.setup()
    yield connected
    await connected.close()


async def queue(bus, names=NAMES):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time())
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    await (await bus.blobs()).put("spring/dictionary", b"Hello")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    compress = Compressor(b"Hello").compress
    mails = [Mail(name, f"{name}@example.org", 1, time.time(), compress(b"Hello")) for name in names]
    due = subjects.mail_due("main", "gmail", "spring")
    await bus.publish("MAIL", [Message(due, schemas.encode_mail(one), ids.attempt_id(one.mail_id, 1)) for one in mails])


async def die_until_done(bus, url, folder, when):
    """Start a sender again whenever it dies; returns how often it died until nothing was left in MAIL."""
    deaths = 0
    async with asyncio.timeout(60):
        while True:
            when = (
                when if deaths < streams.MAX_DELIVERIES else "never"
            )  # it is delivered no more, and buried by a claim
            child = await asyncio.create_subprocess_exec(sys.executable, str(CHILD), url, str(folder), when)
            dying = asyncio.create_task(child.wait())
            try:
                while not dying.done():
                    await asyncio.wait([dying], timeout=0.1)
                    if (await bus.stream_state("MAIL")).messages == 0:
                        return deaths
                deaths += 1
            finally:
                if child.returncode is None:
                    child.kill()
                await dying


async def stories(bus):
    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    return {fact.mail_id: facts.type_of(fact) for fact in told}


def taken(folder):
    return Counter((folder / "taken").read_text().split())


async def test_a_mail_that_kills_its_worker_before_the_claim_is_given_up_and_nobody_near_it(bus, nats_server, tmp_path):
    await queue(bus)
    deaths = await die_until_done(bus, nats_server.url, tmp_path, "claiming")
    assert 1 < deaths <= streams.MAX_DELIVERIES  # fewer where a process was so slow that its hold lapsed
    told = await stories(bus)
    assert {name for name, word in told.items() if word == "failed"} == {"poison"}
    assert set(told) == set(NAMES)
    assert set(told.values()) <= {"accepted", "in_doubt", "failed"}
    assert taken(tmp_path) == {name: 1 for name in NAMES if name != "poison"}
    (letter,) = [one.letter async for one in dead_letters.read(bus, subjects.dlq_where(failure_class="poison"))]
    assert (letter.mail.mail_id, letter.failure_class, letter.reason) == ("poison", "poison", "poison")
    assert (await bus.stream_state("ADVISORIES")).messages == 0


async def test_a_mail_that_kills_its_worker_while_it_is_sent_kills_once_and_is_in_doubt(bus, nats_server, tmp_path):
    await queue(bus)
    assert await die_until_done(bus, nats_server.url, tmp_path, "sending") == 1
    told = await stories(bus)
    assert told["poison"] == "in_doubt"
    assert set(told) == set(NAMES)
    assert set(taken(tmp_path).values()) == {1}
    kept = {one.letter.mail.mail_id async for one in dead_letters.read(bus, subjects.DLQ)}
    assert kept == {name for name, word in told.items() if word == "in_doubt"}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
async def test_mails_of_a_sender_that_is_starved_again_and_again_are_no_poison(impatient_bus, nats_server, tmp_path):
    """It holds them for want of a session, and stands still for longer than the ack-wait each time."""
    bus, names = impatient_bus, ["one", "two", "three"]
    (tmp_path / "busy").touch()
    await queue(bus, names)
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), nats_server.url, str(tmp_path), "never", str(bus.timing.ack_wait_seconds)
    )
    try:
        async with asyncio.timeout(60):
            while (await bus.consumer_state("MAIL", "spring--main--gmail")).in_flight < len(names):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            while set(await stories(bus)) != set(names):
                child.send_signal(signal.SIGSTOP)
                await asyncio.sleep(1.1 * bus.timing.ack_wait_seconds)  # as a machine without CPU does
                child.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.1)
            assert set((await stories(bus)).values()) == {"deferred"}
            (tmp_path / "busy").unlink()
            while (await bus.stream_state("MAIL")).messages:  # noqa: ASYNC110 -- all of it happens in the other process
                await asyncio.sleep(0.02)
    finally:
        child.kill()
        await child.wait()
    assert set((await stories(bus)).values()) == {"accepted"}
    assert taken(tmp_path) == dict.fromkeys(names, 1)
    assert [one async for one in dead_letters.read(bus, subjects.DLQ)] == []
