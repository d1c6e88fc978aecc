"""Circuit breaker, canary and warm-up with several real senders on a real nats-server, some of which are killed."""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from events import breaker, facts, ids, schemas, states, streams, subjects, warmup
from events.breaker import EVERY_LANE
from events.bus import Message
from events.compression import Compressor
from events.facts import BreakerClosed, BreakerOpened
from events.nats_bus import BusSettings, NatsBus
from events.providers import PROVIDERS
from events.schemas import Campaign, CanaryRule, Mail

CHILD = Path(__file__).with_name("breaker_child.py")
EACH = 240
MAILS = EACH * len(PROVIDERS)
SENDERS = 3
CARRIED = 8
"""Two sessions of four mails: what a killed sender may leave in doubt."""
RULE = CanaryRule(share=0.05, minimum=10)
CANARY = MAILS // 20


@pytest.fixture
async def bus(empty_nats_server):
    connected = await NatsBus.connect(BusSettings(url=empty_nats_server.url, ack_wait_seconds=2.0), name="test")
    await connected.setup()
    yield connected
    await connected.close()


@pytest.fixture
async def senders(nats_server, tmp_path):
    """Starts senders, which do not outlive the test."""
    started = []

    async def start(*arguments):
        command = [sys.executable, str(CHILD), nats_server.url, str(tmp_path), *arguments]
        started.append(await asyncio.create_subprocess_exec(*command))
        return started[-1]

    yield start
    for sender in started:
        if sender.returncode is None:
            sender.kill()
        await sender.wait()


async def queue(bus, **campaign):
    made = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time(), planned=MAILS, **campaign)
    await (await bus.blobs()).put("spring/dictionary", b"Hello")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(made))
    body = Compressor(b"Hello").compress(b"Hello")
    await bus.publish("MAIL", [message(number, body) for number in range(MAILS)])


def message(number, body):
    provider = PROVIDERS[number % len(PROVIDERS)]
    mail = Mail(f"{provider}{number:04}", f"{number}@{provider}.example", 1, time.time(), body)
    due = subjects.mail_due("main", provider, "spring")
    return Message(due, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1))


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.005)


def lines(folder, name):
    file = folder / name
    return file.read_text().split() if file.exists() else []


async def told(bus):
    return [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]


async def health(bus):
    return await breaker.get(bus, "spring")


async def is_stopped(bus, *lanes):
    return set(breaker.stopped(await health(bus))) == set(lanes)


async def mails_left(bus, number):
    return (await bus.stream_state("MAIL")).messages <= number


async def held(bus, lane):
    states_of = [one.held for one in await breaker.report(bus) if f"{one.pool}.{one.provider}" == lane]
    return sum(states_of)


async def kill(sender):
    sender.kill()
    await sender.wait()


async def check_the_books(bus, folder, *, killed):
    """Every mail has one story, nothing was taken twice, and little is in doubt."""
    stated = await told(bus)
    standing = states.standing([fact for fact in stated if isinstance(fact, facts.MAIL_FACTS)])
    ledger = Counter(states.state_of(fact) for fact in standing.values())
    taken = Counter(lines(folder, "taken"))
    assert sum(ledger.values()) == MAILS
    assert set(ledger) <= {"accepted", "failed", "in_doubt"}
    assert max(taken.values()) == 1
    assert ledger["in_doubt"] <= killed * CARRIED
    assert ledger["accepted"] <= len(taken) <= ledger["accepted"] + ledger["in_doubt"]
    return ledger, [fact for fact in stated if isinstance(fact, BreakerOpened | BreakerClosed)]


async def test_a_blocked_lane_waits_while_the_others_finish_and_goes_on_when_a_person_says_so(bus, senders, tmp_path):
    await queue(bus)
    started = [await senders("@gmail") for _ in range(SENDERS)]
    await until(lambda: is_stopped(bus, "main.gmail"))
    await kill(started[0])
    started[0] = await senders("@gmail")
    await until(lambda: mails_left(bus, EACH))
    await until(lambda: held_is_all_that_is_left(bus))
    waiting = await held(bus, "main.gmail")
    assert waiting > EACH / 2
    await asyncio.sleep(0.5)  # nothing of it moves
    assert await held(bus, "main.gmail") == waiting
    refused = sum(name.startswith("gmail") for name in lines(tmp_path, "tried"))
    await kill(started[1])
    (tmp_path / "mended").touch()
    await breaker.resume(bus, "spring", "gmail", time.time(), "cli")
    await until(lambda: mails_left(bus, 0))
    ledger, changes = await check_the_books(bus, tmp_path, killed=2)
    assert 0 < ledger["failed"] <= refused
    assert [(type(fact), fact.provider, fact.number) for fact in changes] == [
        (BreakerOpened, "gmail", 1),
        (BreakerClosed, "gmail", 1),
    ]


async def held_is_all_that_is_left(bus):
    return (await bus.stream_state("MAIL")).messages == await held(bus, "main.gmail")


async def test_no_more_than_the_canary_is_tried_before_it_is_known_also_where_senders_are_killed(
    bus, senders, tmp_path
):
    await queue(bus, canary=RULE)
    started = [await senders("nobody") for _ in range(SENDERS)]
    killed = False
    while True:
        tried, canary = len(lines(tmp_path, "tried")), (await health(bus)).canary
        if canary.passed_at is not None:
            break
        assert tried <= CANARY
        if tried and not killed:
            await kill(started[0])
            killed = True
        await asyncio.sleep(0.002)
    assert canary.tried + canary.lost >= CANARY
    await until(lambda: mails_left(bus, 0))
    ledger, changes = await check_the_books(bus, tmp_path, killed=1)
    assert ledger["failed"] == 0
    assert changes == []


async def test_a_canary_that_is_blocked_stops_everything_until_a_person_says_so(bus, senders, tmp_path):
    await queue(bus, canary=RULE)
    for _ in range(SENDERS):
        await senders("@")
    await until(lambda: is_stopped(bus, EVERY_LANE))
    await asyncio.sleep(0.5)  # nothing more is tried
    assert len(lines(tmp_path, "tried")) <= CANARY
    [stopped] = await breaker.report(bus)
    assert stopped.cause == "canary"
    (tmp_path / "mended").touch()
    await breaker.resume(bus, "spring", "", time.time(), "cli")
    await until(lambda: mails_left(bus, 0))
    ledger, changes = await check_the_books(bus, tmp_path, killed=0)
    assert ledger["failed"] <= CANARY
    assert [type(fact) for fact in changes] == [BreakerOpened, BreakerClosed]


async def test_a_day_of_warm_up_has_no_more_mails_than_it_may_whoever_sends_and_is_started_anew(bus, senders, tmp_path):
    allowed = 50
    await queue(bus)
    started = [await senders("nobody", str(allowed)) for _ in range(SENDERS)]
    await until(lambda: days_are_told(bus, allowed))
    assert Counter(name[:-4] for name in lines(tmp_path, "taken")) == dict.fromkeys(PROVIDERS, allowed)
    for sender in started:
        await kill(sender)
    for _ in range(SENDERS):
        await senders("nobody", str(allowed))
    await until(lambda: has_come_again(bus, allowed))
    await asyncio.sleep(1.0)  # nothing more goes
    assert len(lines(tmp_path, "taken")) == allowed * len(PROVIDERS)


async def days_are_told(bus, number):
    return [state.today.accepted for state in await warmup.all_of(bus)] == [number] * len(PROVIDERS)


async def has_come_again(bus, sent):
    """What the killed senders held, somebody else could hold by now."""
    lanes = [await bus.consumer_state("MAIL", lane.name) for lane in streams.lanes("spring", "main")]
    return all(lane.waiting + lane.in_flight == EACH - sent for lane in lanes)
