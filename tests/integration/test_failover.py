"""A relay is killed in the middle of a campaign: another one takes over, and nobody is left out or mailed twice."""

import asyncio
import os
import signal
import sys
import time

import pytest

from events import facts, ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.facts import EmailAccepted, EmailInDoubt
from events.nats_bus import BusSettings
from events.schemas import Campaign, Mail
from jetpost.logs import LogSettings
from jetpost.settings import Settings, to_environment
from jetpost.simulator import client
from sender.settings import Relay, RetryPolicy, SenderSettings
from sender.throttle.limits import Limits

MAILS = 600
SESSIONS, DEPTH = 2, 4
FAILOVER_SECONDS = 0.5


@pytest.fixture
def bus(nats_bus):
    return nats_bus


async def queue(bus):
    routes = {"other": ("main", "backup")}
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", time.time(), routes=routes)
    await (await bus.blobs()).put("spring/dictionary", b"Hello\r\n")
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    body = Compressor(b"Hello\r\n").compress(b"Subject: x\r\n\r\nHello\r\n")
    mails = [
        Mail(ids.mail_id("spring", f"{n}@example.org"), f"{n}@example.org", 1, time.time(), body) for n in range(MAILS)
    ]
    due = subjects.mail_due("main", "other", "spring")
    await bus.publish(
        "MAIL", [Message(due, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1)) for mail in mails]
    )


async def until(condition):
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
async def test_when_the_relay_of_a_pool_dies_the_next_pool_of_the_route_takes_over(
    bus, start, empty_nats_server, tmp_path
):
    main, backup = await asyncio.gather(
        *(start(name, ("simulator", "--port=0", f"--state-dir={tmp_path / name}")) for name in ("main", "backup"))
    )
    slow = Limits(rate=300)  # so that the campaign is not over before its relay dies
    settings = Settings(
        data_dir=tmp_path,
        nats=BusSettings(url=empty_nats_server.url),
        sender=SenderSettings(
            pools={
                name: Relay(
                    port=int(simulator.addresses["smtp"]), max_connections=SESSIONS, pipeline_depth=DEPTH, limits=slow
                )
                for name, simulator in {"main": main, "backup": backup}.items()
            },
            failover_after_seconds=FAILOVER_SECONDS,
            retry=RetryPolicy(transient_base_seconds=0.5),  # of those that no session took
        ),
        log=LogSettings(format="json"),
    )

    async def main_has_some():
        return (await client.counters(int(main.addresses["control"]))).messages >= MAILS // 6

    async def all_settled():
        return (await bus.stream_state("MAIL")).messages == 0

    await start("sender", ("sender", "run"), settings)
    await queue(bus)
    await until(main_has_some)
    os.kill(main.pid, signal.SIGKILL)  # it comes back under another port, where nobody looks for it
    await until(all_settled)

    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    accepted = [fact for fact in told if isinstance(fact, EmailAccepted)]
    doubtful = {fact.mail_id for fact in told if isinstance(fact, EmailInDoubt)}
    taken = await client.stats(int(backup.addresses["control"]))
    assert {fact.pool for fact in accepted} == {"main", "backup"}
    assert len({fact.mail_id for fact in accepted} | doubtful) == MAILS
    assert len(doubtful) <= SESSIONS * DEPTH
    assert taken.accepted_more_than_once == 0
    assert taken.messages == sum(fact.pool == "backup" for fact in accepted)
    assert "main, backup" in await jetpost(settings, "route", "spring")
    assert "backup, main" in await jetpost(settings, "route", "spring", "gmail=backup,main")


async def jetpost(settings, *arguments):
    """What the command says."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jetpost", *arguments),
        env=os.environ | to_environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await command.communicate()
    assert command.returncode == 0, said.decode()
    return said.decode()
