"""A canary, limits and a failover at once: the relay dies while the canary is on its way, and the next pool of the route goes on
with it, within its own limit; then the rest follows.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter

import pytest

from benchmarks.campaigns.throttle import most_in_a_second
from events import breaker, facts, ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.facts import BreakerOpened, EmailAccepted, EmailInDoubt
from events.nats_bus import BusSettings
from events.schemas import Campaign, CanaryRule, Mail
from jetpost.logs import LogSettings
from jetpost.settings import Settings
from jetpost.simulator import client
from sender.settings import Relay, RetryPolicy, SenderSettings
from sender.throttle.limits import Limits

MAILS = 240
CANARY = MAILS // 4
SENDERS, SESSIONS, DEPTH = 2, 2, 4
CARRIED = SENDERS * SESSIONS * DEPTH
"""Mails that sessions may have in hand when the relay dies."""
SLOW, FAST = Limits(rate=20, burst=5), Limits(rate=80, burst=20)
DOMAINS = {"gmail": "gmail.com", "other": "example.org"}


@pytest.fixture
def bus(nats_bus):
    return nats_bus


async def queue(bus):
    campaign = Campaign(
        *("spring", "Spring", "running", "main", "b@example.com", time.time()),
        planned=MAILS,
        routes=dict.fromkeys(DOMAINS, ("main", "backup")),
        canary=CanaryRule(share=0.25, minimum=10),
    )
    await (await bus.blobs()).put("spring/dictionary", b"Hello\r\n")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    await bus.publish("MAIL", [message(number) for number in range(MAILS)])


def message(number):
    provider = list(DOMAINS)[number % 2]
    recipient = f"{number}@{DOMAINS[provider]}"
    mail_id = ids.mail_id("spring", recipient)
    text = f"Message-ID: <{mail_id}.spring@example.com>\r\nSubject: x\r\n\r\nHello\r\n"
    mail = Mail(mail_id, recipient, 1, time.time(), Compressor(b"Hello\r\n").compress(text.encode()))
    return Message(subjects.mail_due("main", provider, "spring"), schemas.encode_mail(mail), ids.attempt_id(mail_id, 1))


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.02)


async def most_at_once(control):
    """In any second, for all providers together."""
    return most_in_a_second(sum((Counter(one) for one in (await client.arrivals(control)).values()), Counter()))


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
async def test_a_canary_whose_relay_dies_goes_on_through_the_next_pool_within_its_limit(
    bus, start, empty_nats_server, tmp_path
):
    main, backup = await asyncio.gather(
        *(start(name, ("simulator", "--port=0", f"--state-dir={tmp_path / name}")) for name in ("main", "backup"))
    )
    settings = Settings(
        data_dir=tmp_path,
        nats=BusSettings(url=empty_nats_server.url),
        sender=SenderSettings(
            pools={
                name: Relay(
                    port=int(simulator.addresses["smtp"]), max_connections=SESSIONS, pipeline_depth=DEPTH, limits=limits
                )
                for name, simulator, limits in (("main", main, SLOW), ("backup", backup, FAST))
            },
            failover_after_seconds=0.5,
            retry=RetryPolicy(transient_base_seconds=0.5),  # of those that no session took
        ),
        log=LogSettings(format="json"),
    )
    of_main, of_backup = (int(one.addresses["control"]) for one in (main, backup))

    async def canary():
        return (await breaker.get(bus, "spring")).canary

    async def part_of_it_is_taken():
        return (await client.counters(of_main)).messages >= CANARY // 3

    async def all_settled():
        return (await bus.stream_state("MAIL")).messages == 0

    await asyncio.gather(*(start(f"sender-{n}", ("sender", "run"), settings) for n in range(SENDERS)))
    await queue(bus)
    await until(part_of_it_is_taken)
    assert await most_at_once(of_main) <= SLOW.rate + SLOW.burst
    most = CANARY + CARRIED - (await client.counters(of_main)).messages
    os.kill(main.pid, signal.SIGKILL)
    assert (await canary()).passed_at is None
    while (known := await canary()).passed_at is None:
        assert (await client.counters(of_backup)).messages <= most  # the rest waits
    assert known.tried <= CANARY + CARRIED
    await until(all_settled)

    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    accepted = [fact for fact in told if isinstance(fact, EmailAccepted)]
    doubtful = {fact.mail_id for fact in told if isinstance(fact, EmailInDoubt)}
    assert not [fact for fact in told if isinstance(fact, BreakerOpened)]
    assert len(accepted) + len(doubtful) == len({fact.mail_id for fact in accepted} | doubtful) == MAILS
    assert len(doubtful) <= CARRIED
    taken = await client.stats(of_backup)
    assert taken.accepted_more_than_once == 0
    assert taken.messages == sum(fact.pool == "backup" for fact in accepted) >= MAILS - CANARY
    assert await most_at_once(of_backup) <= FAST.rate + FAST.burst
    lanes = (await breaker.get(bus, "spring")).lanes
    assert {lane.partition(".")[0] for lane, state in lanes.items() if state.accepted} == {"main", "backup"}
