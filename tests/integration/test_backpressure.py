"""What is full or away makes everybody wait and nobody drop anything; it goes on by itself, and the reason can be read.

Real servers: nats-server with little room, the SMTP simulator, ClickHouse (chdb) on a disk that is full.
A disk that is full under nats-server is in jetpost/test_jetpost_disk_full.py.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import smtp_servers
from process_watching import until
from producing import SETTINGS as PRODUCER
from producing import plan, recipients, send_everything
from prometheus_client import REGISTRY

from analytics import progress
from analytics.clickhouse.client import Store
from analytics.errors import ClickHouseUnavailable
from analytics.settings import ClickHouseSettings
from events import facts, ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.errors import StreamFull
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.schemas import Campaign, Mail
from producer import worker as producer
from sender import worker as sender
from sender.drivers.smtp_pool import SmtpPool
from sender.settings import Relay, SenderSettings

INGESTER = Path(__file__).with_name("ingester_child.py")
LIMIT = 12_000_000
ROWS = 16_000
DUE = subjects.mail_due("main", "gmail", "autumn")
DICTIONARY = b"Hello"
MAILS = 300


@asynccontextmanager
async def small_store(folder, limit):
    """A bus whose server may store little."""
    async with NatsServer(folder / "nats", max_file_store=limit) as server:
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        await bus.setup()
        try:
            yield bus
        finally:
            await bus.close()


@asynccontextmanager
async def working(run):
    """A worker, stopped at the end as SIGTERM would stop it."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


def producing(bus):
    return working(lambda stop: producer.run(bus, PRODUCER, clock=time.time, stop=stop))


def sending(bus, port):
    relay = Relay(port=port, max_connections=2)
    settings = SenderSettings(pools={"main": relay}, retry_pause_seconds=0.05, fetch_wait_seconds=0.5)
    return working(lambda stop: sender.run(bus, settings, SmtpPool, clock=time.time, stop=stop))


async def queued(bus):
    return (await bus.stream_state("MAIL")).last_sequence


async def stands_still(bus):
    """The number of mails that were queued, as soon as it does not change any more."""
    before = -1
    while before != (now := await queued(bus)):
        before = now
        await asyncio.sleep(1.0)
    return now


async def test_producers_leave_the_rest_of_a_store_to_senders_and_go_on_when_mails_were_sent(tmp_path, caplog):
    # Names in which nothing repeats make mails that are as large as their names.
    chance = random.Random(5)
    rows = recipients(ROWS, **{f"r{number}": chance.randbytes(250).hex() for number in range(ROWS)})
    async with small_store(tmp_path, LIMIT) as bus:
        for number in range(1, ROWS // 2_000 + 1):
            await plan(bus, rows[(number - 1) * 2_000 : number * 2_000], number)
        async with producing(bus):
            await until(lambda: "nothing more is queued" in caplog.text)
            first = await stands_still(bus)
            assert 0 < first < ROWS
            assert 0.85 < (await bus.storage()).share < 0.95
            await what_a_sender_needs(bus)
            sent = await send_everything(bus)
            while len(sent) < ROWS:
                await asyncio.sleep(0.1)
                sent += await send_everything(bus)
    assert sorted(sent) == sorted(row.address for row in rows)
    assert "works again" in caplog.text


async def what_a_sender_needs(bus):
    """A claim, a journal entry, a retry, a dead letter and an outcome, a thousand times."""
    for stream, subject in (
        ("CLAIMS", subjects.CLAIMS),
        ("JOURNAL", subjects.journal("autumn")),
        ("DLQ", subjects.dlq("autumn", "gmail", "soft")),
        ("EVENTS", subjects.event("expired", "summer")),
    ):
        await bus.publish(stream, [Message(subject, bytes(100), f"{stream}-{number}") for number in range(1_000)])
    waiting = subjects.mail_waiting("autumn", "main", "gmail", "soft", "later")
    await bus.publish("MAIL", [Message(waiting, b"mail", "later/2", time.time() + 3_600, DUE)])
    await bus.purge("MAIL", waiting)


async def queue(bus, count=MAILS):
    """Mails of a campaign, due."""
    campaign = Campaign("autumn", "Autumn", "running", "main", "b@example.com", time.time())
    await (await bus.blobs()).put("autumn/dictionary", DICTIONARY)
    for lane in streams.lanes("autumn", "main"):
        await bus.create_consumer(lane)
    await (await bus.bucket(streams.CAMPAIGNS)).put("autumn", schemas.encode_campaign(campaign))
    compress = Compressor(DICTIONARY).compress
    messages = []
    for number in range(count):
        mail = ids.mail_id("autumn", f"{number}@gmail.com")
        body = compress(f"Message-ID: <{mail}.autumn@example.com>\r\nSubject: Hello\r\n\r\nHello\r\n".encode())
        queued_mail = Mail(mail, f"{number}@gmail.com", 1, time.time(), body)
        messages.append(Message(DUE, schemas.encode_mail(queued_mail), ids.attempt_id(mail, 1)))
    await bus.publish("MAIL", messages)


async def told(bus):
    """How many facts there are of each type and attempt."""
    found = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    return Counter((facts.type_of(fact), fact.attempt) for fact in found)


async def fill(bus, size=10_000):
    while True:
        await bus.publish("DLQ", [Message("dlq.old.other.soft", os.urandom(size))])


async def is_settled(bus):
    return (await bus.stream_state("MAIL")).messages == 0


async def test_senders_wait_for_room_and_lose_and_repeat_nothing(tmp_path, caplog):
    async with small_store(tmp_path, 3_000_000) as bus, smtp_servers.simulator(tmp_path / "sim") as relay:
        await queue(bus)
        for size in (10_000, 10):  # to the brim: a claim is small
            with pytest.raises(StreamFull):
                await fill(bus, size)
        async with sending(bus, relay.port):
            await until(lambda: "claim failed" in caplog.text)
            assert "refuses to store more" in caplog.text
            assert await relay.accepted() == []
            await bus.purge("DLQ", "dlq.old.>")
            await until(lambda: is_settled(bus))
        assert await told(bus) == {("accepted", 1): MAILS}
        assert len(set(await relay.accepted())) == len(await relay.accepted()) == MAILS


async def test_while_the_relay_is_away_nothing_is_claimed_and_no_attempt_used_up(nats_bus, tmp_path, free_port, caplog):
    def failures():
        return REGISTRY.get_sample_value("sender_errors_total", {"step": "connect main"}) or 0

    port, before = free_port(), failures()
    await queue(nats_bus)
    async with sending(nats_bus, port):
        await until(lambda: failures() >= before + 3)
        assert (await nats_bus.stream_state("CLAIMS")).last_sequence == 0
        assert (await nats_bus.stream_state("EVENTS")).last_sequence == 0
        assert (await nats_bus.stream_state("MAIL")).messages == MAILS
        assert f"127.0.0.1:{port}" in caplog.text
        async with smtp_servers.simulator(tmp_path, port=port) as relay:
            await until(lambda: is_settled(nats_bus))
            assert len(await relay.accepted()) == MAILS
    assert await told(nats_bus) == {("accepted", 1): MAILS}


def some_facts(count):
    for number in range(count):
        who = ("spring", 1.8e9, ids.mail_id("spring", str(number)), 1, "jo@example.com", "main", "gmail")
        if number % 3:
            yield facts.EmailAccepted(*who, 1.0)
        else:
            yield facts.EmailBounced(*who, "hard", 550, "5.1.1", "no such user")


async def state(bus, *stated):
    messages = [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for fact in stated]
    await bus.publish("EVENTS", messages)


@asynccontextmanager
async def child(*arguments, **options):
    process = await asyncio.create_subprocess_exec(sys.executable, INGESTER, *map(str, arguments), **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def counted(folder):
    async with child("ask", folder, stdout=asyncio.subprocess.PIPE) as asking:
        return json.loads(await asking.stdout.read())


async def has_ingested(bus, count):
    return (await progress.Book(await bus.bucket(streams.INGEST)).read()).ingested >= count


async def test_a_clickhouse_server_that_does_not_answer_may_do_so_later(free_port):
    store = Store(ClickHouseSettings(url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(ClickHouseUnavailable, match="refused"):
        await store.query("has_events", until=0)
    await store.close()


async def test_events_wait_on_the_bus_while_clickhouse_cannot_take_them(nats_bus, nats_server, small_disk, tmp_path):
    log, filler = tmp_path / "log", small_disk / "filler"
    with log.open("wb") as stderr:
        async with child("run", nats_server.url, small_disk / "clickhouse", stderr=stderr):
            await state(nats_bus, *some_facts(10))
            await until(lambda: has_ingested(nats_bus, 10))
            fill_up(filler)
            await state(nats_bus, *some_facts(6_000))
            await until(lambda: b"tried again" in log.read_bytes())
            assert await progress.lag(nats_bus) == 5_990
            assert (await nats_bus.stream_state("EVENTS")).messages == 6_000
            filler.unlink()
            await until(lambda: has_ingested(nats_bus, 6_000))
    assert b"space" in log.read_bytes()
    found = await counted(small_disk / "clickhouse")
    assert found["mails"] == found["totals"] == {"accepted": 4_000, "bounced": 2_000}


def fill_up(file):
    """Until the disk has no room."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4_096))


class ImpatientServer(NatsServer):
    """Drops clients that are silent for a second, where the default is six minutes, and says so."""

    def _config(self):
        return json.dumps(json.loads(super()._config()) | {"ping_interval": "300ms", "ping_max": 2, "debug": True})


async def test_a_slow_consumer_is_cut_off_comes_back_and_counts_everything_once(tmp_path):
    async with ImpatientServer(tmp_path / "nats") as server:
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        await bus.setup()
        async with child("run", server.url, tmp_path / "clickhouse") as ingester:
            await state(bus, *some_facts(10))
            await until(lambda: has_ingested(bus, 10))
            ingester.send_signal(signal.SIGSTOP)
            await state(bus, *some_facts(6_000))
            await until(lambda: "Stale" in server.log_path.read_text())
            ingester.send_signal(signal.SIGCONT)
            await until(lambda: has_ingested(bus, 5_990), seconds=60)
        await bus.close()
    found = await counted(tmp_path / "clickhouse")
    assert found["mails"] == found["totals"] == {"accepted": 4_000, "bounced": 2_000}
