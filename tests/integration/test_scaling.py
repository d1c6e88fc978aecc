"""Sender processes that are started and stopped as they are wanted, over a real nats-server, to a server that takes its time."""

import asyncio
import time
from contextlib import aclosing, asynccontextmanager

import pytest
from msgspec.structs import replace

from analytics.scaling.decision import Limited
from analytics.scaling.scaler import Scaler
from analytics.scaling.settings import ScalingSettings
from benchmarks.autoscaling.pods import Pods
from events import fleet, ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings
from events.providers import PROVIDERS
from events.schemas import Campaign, Mail
from jetpost.logs import LogSettings
from jetpost.settings import Settings, to_environment
from jetpost.supervisor import Child, Component
from sender.settings import Relay, SenderSettings
from sender.throttle.limits import NONE, Limits

MAILS = 400
SCALING = ScalingSettings(
    min_senders=0,
    max_senders=3,
    within_seconds=8.0,
    sender_mails_per_second=100.0,
    sender_start_seconds=1.0,
    cooldown_seconds=1.0,
)
SLOW = Relay(max_connections=2, pipelining=False, pipeline_depth=2)
"""20 mails/s at most: two sessions, and four replies a mail, each after 25 ms."""


@asynccontextmanager
async def running(name, arguments, folder, settings=None):
    child = Child(Component(name, arguments), to_environment(settings) if settings else {}, folder / "logs")
    await child.start(lambda: None)
    try:
        yield child
    finally:
        await child.stop()


@pytest.fixture
async def relay(tmp_path):
    arguments = ("simulator", "--port=0", "--latency=0.025", f"--state-dir={tmp_path / 'simulator'}")
    async with running("simulator", arguments, tmp_path) as simulator:
        yield replace(SLOW, port=int(simulator.addresses["smtp"]))


@pytest.fixture
async def pods(nats_bus, empty_nats_server, relay, tmp_path):
    """A function that makes pods of senders, whose pool has these limits."""
    made = []

    def make(limits):
        settings = Settings(
            data_dir=tmp_path,
            nats=BusSettings(url=empty_nats_server.url),
            sender=SenderSettings(pools={"main": replace(relay, limits=limits)}, fetch_mails=4, prefetch_mails=8),
            log=LogSettings(format="json"),
        )
        environment, logs = to_environment(settings), tmp_path / "logs"
        made.append(
            Pods(lambda number: Child(Component(f"sender-{number}", ("sender", "run")), environment, logs), 0.0)
        )
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def campaign(nats_bus):
    """A campaign that is to be sent at once."""
    spring = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time())
    await (await nats_bus.blobs()).put("spring/dictionary", b"Hello\r\n")
    for lane in streams.lanes("spring", "main"):
        await nats_bus.create_consumer(lane)
    await (await nats_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(spring))
    await nats_bus.publish("MAIL", [message(number) for number in range(MAILS)])


def message(number):
    provider, recipient = PROVIDERS[number % len(PROVIDERS)], f"{number}@example.org"
    mail_id = ids.mail_id("spring", recipient)
    text = f"Message-ID: <{mail_id}.spring@example.com>\r\nSubject: x\r\n\r\nHello\r\n"
    mail = Mail(mail_id, recipient, 1, time.time(), Compressor(b"Hello\r\n").compress(text.encode()))
    return Message(
        subjects.mail_due("main", provider, "spring"), schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1)
    )


async def follow(bus, pods, enough):
    """Decide whenever a sender says something of itself, and start and stop senders, until it is enough; all decisions."""
    scaler, decisions = Scaler(bus, SCALING, time.time), []

    async def decide():
        decisions.append(await scaler.look())
        pods.become(decisions[-1].wanted)
        return enough(decisions[-1])

    async with asyncio.timeout(90), aclosing((await bus.bucket(streams.SENDERS)).watch()) as beats:
        if await decide():
            return decisions
        async for _ in beats:
            if await decide():
                return decisions
    return decisions


@pytest.mark.usefixtures("campaign")
async def test_senders_are_started_as_they_turn_out_to_be_needed_and_let_go_when_all_is_sent(nats_bus, pods):
    unlimited = pods(NONE)
    decisions = await follow(nats_bus, unlimited, lambda decision: decision.wanted == 0)
    assert (await nats_bus.stream_state("MAIL")).messages == 0
    assert decisions[0].wanted == 1, "as long as a sender is thought to send 100 mails/s"
    assert unlimited.most in {2, 3}, "when it is known what it sends"
    assert 2.0 < decisions[-1].capacity["main"] < 21.0
    await unlimited.close()
    assert await fleet.read(nats_bus) == [], "who stops says so"


@pytest.mark.usefixtures("campaign")
async def test_a_limit_that_senders_tell_of_keeps_others_from_being_started(nats_bus, pods):
    limited = pods(Limits(rate=4.0))
    decisions = await follow(nats_bus, limited, lambda decision: bool(decision.limited))
    assert (decisions[-1].wanted, decisions[-1].reason) == (1, "provider_limited")
    assert decisions[-1].limited == (Limited("spring", "main", 4.0),)
