"""kill -9 for real senders on a real nats-server: every mail has one story, and none is taken twice."""

import asyncio
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from events import facts, ids, schemas, states, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings, NatsBus
from events.providers import PROVIDERS
from events.schemas import Campaign, Mail

CHILD = Path(__file__).with_name("sender_child.py")
MAILS = 1_500
SENDERS = 2
CARRIED = 4
"""One session of four mails: what a killed sender may leave in doubt."""
KILL_AT = (0.2, 0.5, 0.8)
"""Shares of the mails that are stated when a sender is killed: so few kills that no mail comes too often to be innocent."""


@pytest.fixture
async def bus(empty_nats_server):
    connected = await NatsBus.connect(BusSettings(url=empty_nats_server.url, ack_wait_seconds=2.0), name="test")
    await connected.setup()
    yield connected
    await connected.close()


async def queue(bus):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time())
    await (await bus.blobs()).put("spring/dictionary", b"Hello")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    body = Compressor(b"Hello").compress(b"Hello")
    await bus.publish("MAIL", [message(number, body) for number in range(MAILS)])


def message(number, body):
    mail = Mail(f"mail{number:04}", f"{number}@example.org", 1, time.time(), body)
    due = subjects.mail_due("main", PROVIDERS[number % len(PROVIDERS)], "spring")
    return Message(due, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1))


async def spawn(url, folder):
    return await asyncio.create_subprocess_exec(sys.executable, str(CHILD), url, str(folder), "never")


async def until(condition):
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.005)


async def kill_in_turn(bus, url, folder):
    """Senders that are killed one after the other and started again, until everything is sent."""
    rng = random.Random(3)
    senders = [await spawn(url, folder) for _ in range(SENDERS)]
    try:
        for share in KILL_AT:
            await until(lambda share=share: stated(bus, share * MAILS))
            victim = rng.randrange(SENDERS)
            senders[victim].kill()
            await senders[victim].wait()
            senders[victim] = await spawn(url, folder)
        await until(lambda: nothing_left(bus))
    finally:
        for sender in senders:
            sender.kill()
            await sender.wait()


async def stated(bus, number):
    return (await bus.stream_state("EVENTS")).messages >= number


async def nothing_left(bus):
    return (await bus.stream_state("MAIL")).messages == 0


def words_of(told):
    words = defaultdict(list)
    for fact in told:
        words[fact.mail_id].append(facts.type_of(fact))
    return words


async def test_killed_senders_lose_nothing_send_nothing_twice_and_leave_little_in_doubt(bus, nats_server, tmp_path):
    await queue(bus)
    await kill_in_turn(bus, nats_server.url, tmp_path)
    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    stories = {mail: states.state_of(fact) for mail, fact in states.standing(told).items()}
    contested = [words for words in words_of(told).values() if len(words) > 1]
    taken = Counter((tmp_path / "taken").read_text().split())
    assert len(stories) == MAILS
    assert all(words == ["in_doubt", "accepted"] for words in contested), contested
    assert set(taken.values()) == {1}
    accepted = {mail for mail, word in stories.items() if word == "accepted"}
    doubtful = {mail for mail, word in stories.items() if word == "in_doubt"}
    assert accepted <= set(taken) <= accepted | doubtful
    assert accepted | doubtful == set(stories)
    assert len(doubtful) <= CARRIED * len(KILL_AT)
