"""Sender processes that share a limit through a real nats-server: what a real mail server sees of it when one is killed, when one
stops, and when a person raises the limit.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter

import pytest
from msgspec.structs import replace

from benchmarks.campaigns.throttle import most_in_a_second
from events import facts, ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings, NatsBus
from events.providers import PROVIDERS
from events.schemas import Campaign, Mail
from jetpost.logs import LogSettings
from jetpost.settings import Settings
from jetpost.simulator import client
from sender.adaptive import slowing
from sender.settings import Relay, SenderSettings
from sender.throttle.keeper import Keeper
from sender.throttle.limits import Limits
from sender.throttle.state import lane_key

MAILS = 400
DAILY = 60
DOMAINS = {"gmail": "gmail.com", "yahoo": "yahoo.com"}
ACK_WAIT_SECONDS = 10.0
POOL = Limits(rate=100, burst=40)
GMAIL = Limits(rate=15, burst=6)


@pytest.fixture
async def bus(empty_nats_server):
    connected = await NatsBus.connect(
        BusSettings(url=empty_nats_server.url, ack_wait_seconds=ACK_WAIT_SECONDS), name="test"
    )
    await connected.setup()
    yield connected
    await connected.close()


async def queue(bus):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time())
    await (await bus.blobs()).put("spring/dictionary", b"Hello\r\n")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    await bus.publish("MAIL", [message(number) for number in range(MAILS)])


def message(number):
    provider = PROVIDERS[number % len(PROVIDERS)]
    recipient = f"{number}@{DOMAINS.get(provider, 'example.org')}"
    mail_id = ids.mail_id("spring", recipient)
    text = f"Message-ID: <{mail_id}.spring@example.com>\r\nSubject: x\r\n\r\nHello\r\n"
    body = Compressor(b"Hello\r\n").compress(text.encode())
    mail = Mail(mail_id, recipient, 1, time.time(), body)
    return Message(
        subjects.mail_due("main", provider, "spring"), schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1)
    )


async def until(condition):
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.02)


def settings_of(empty_nats_server, tmp_path, simulator, **relay):
    return Settings(
        data_dir=tmp_path,
        nats=BusSettings(url=empty_nats_server.url, ack_wait_seconds=ACK_WAIT_SECONDS),
        sender=SenderSettings(pools={"main": Relay(port=int(simulator.addresses["smtp"]), pipeline_depth=4, **relay)}),
        log=LogSettings(format="json"),
    )


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
async def test_senders_one_of_which_is_killed_keep_to_one_limit(bus, start, empty_nats_server, tmp_path):
    simulator = await start("simulator", ("simulator", "--port=0", f"--state-dir={tmp_path / 'simulator'}"))
    control = int(simulator.addresses["control"])
    settings = settings_of(empty_nats_server, tmp_path, simulator, limits=POOL, lanes={"gmail": GMAIL})

    async def taken(number):
        return (await client.counters(control)).messages >= number

    async def nothing_left():
        return (await bus.stream_state("MAIL")).messages == 0

    first, _ = await asyncio.gather(*(start(f"sender-{n}", ("sender", "run"), settings) for n in (1, 2)))
    await queue(bus)
    await until(lambda: taken(MAILS // 4))
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: taken(MAILS // 2))
    await start("sender-3", ("sender", "run"), settings)
    await until(nothing_left)

    arrivals = await client.arrivals(control)
    everything = sum((Counter(one) for one in arrivals.values()), Counter())
    assert most_in_a_second(everything) <= POOL.rate + POOL.burst
    assert most_in_a_second(arrivals["gmail"]) <= GMAIL.rate + GMAIL.burst
    taken_in_all = await client.stats(control)
    assert taken_in_all.accepted_more_than_once == 0
    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    words = Counter(facts.type_of(fact) for fact in told if isinstance(fact, facts.EmailAccepted | facts.EmailInDoubt))
    assert words["accepted"] + words["in_doubt"] == MAILS
    assert words["in_doubt"] <= POOL.burst  # what a killed sender had claimed: no more than it had tokens for


async def test_a_day_is_used_to_its_end_although_a_sender_stopped_and_a_limit_that_is_raised_counts_at_once(
    bus, start, empty_nats_server, tmp_path
):
    simulator = await start("simulator", ("simulator", "--port=0", f"--state-dir={tmp_path / 'simulator'}"))
    control = int(simulator.addresses["control"])
    slow = {"gmail": Limits(daily=DAILY), "yahoo": Limits(rate=0.005)}
    settings = settings_of(empty_nats_server, tmp_path, simulator, lanes=slow)

    async def taken(provider, number):
        return sum((await client.arrivals(control)).get(provider, {}).values()) >= number

    first = await start("sender-1", ("sender", "run"), settings)
    await queue(bus)
    await until(lambda: taken("gmail", DAILY // 3))
    await first.stop()
    await start("sender-2", ("sender", "run"), settings)
    await until(lambda: taken("gmail", DAILY))
    await until(lambda: taken("yahoo", 1))
    assert (await Keeper(bus).change(lane_key("main", "gmail"), lambda state: state)).used == DAILY
    raised = slowing.override(200.0, time.time())  # as `jetpost lanes limit` does
    await Keeper(bus).change(lane_key("main", "yahoo"), lambda state: replace(state, pace=raised))
    await until(lambda: taken("yahoo", MAILS // len(PROVIDERS)))  # at the old limit a mail in 200 s
    assert not await taken("gmail", DAILY + 1)
