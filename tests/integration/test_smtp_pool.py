"""Pools keep, share, renew and give up sessions as they should, against real sockets."""

import asyncio
from contextlib import AsyncExitStack
from random import Random

import pytest
import smtp_servers
from prometheus_client import REGISTRY

from jetpost.simulator import client
from jetpost.simulator.settings import Faults
from sender.drivers import smtp_pool
from sender.drivers.base import Accepted, ConnectionFailed, NotTried, Outbound, Refused, Unknown
from sender.drivers.smtp_connection import PipelinedDriver
from sender.drivers.smtp_plain import PlainDriver
from sender.drivers.smtp_pool import Backoff, SmtpPool
from sender.settings import Relay

EHLO = b"250-simple\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def simulator(stack, tmp_path):
    async def simulator(**settings):
        return await stack.enter_async_context(smtp_servers.simulator(tmp_path, **settings))

    return simulator


@pytest.fixture
def pool_of(stack):
    def pool_of(server, **relay):
        pool = SmtpPool("pool-test", Relay(port=server.port, **relay), random=Random(1))
        stack.push_async_callback(pool.close)
        return pool

    return pool_of


def mail(number):
    mail_id = "abcdefghijklmnopqrst"[number] * 16
    message = f"Message-ID: <{mail_id}.c@example.com>\r\n\r\nhello\r\n".encode()
    return Outbound(mail_id, f"r{number}@example.org", "b@example.com", message)


async def deliver(pool, *mails):
    async with pool.lease() as driver:
        return [type(outcome) for outcome in await driver.deliver(mails)]


def open_connections():
    return REGISTRY.get_sample_value("smtp_connections", {"pool": "pool-test"})


async def test_one_session_serves_one_delivery_after_another(simulator, pool_of):
    server = await simulator()
    pool = pool_of(server)
    for number in range(5):
        await deliver(pool, mail(number))
    assert (await client.counters(server.control)).connections == 1


async def test_sessions_are_renewed_after_their_mails(simulator, pool_of):
    server = await simulator()
    pool = pool_of(server, mails_per_connection=3, pipeline_depth=2)
    rooms = []
    for _ in range(4):
        async with pool.lease() as driver:
            rooms.append(driver.room)
            await driver.deliver([mail(number) for number in range(driver.room)])
    assert rooms == [2, 1, 2, 1]
    assert (await client.counters(server.control)).connections == 2


async def test_no_more_sessions_are_out_than_allowed(simulator, pool_of):
    pool = pool_of(await simulator(), max_connections=2)
    async with AsyncExitStack() as leases:
        for _ in range(2):
            await leases.enter_async_context(pool.lease())
        waiting = asyncio.create_task(deliver(pool, mail(0)))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert open_connections() == 2
    assert await waiting == [Accepted]


async def test_a_session_left_by_an_exception_is_not_kept(simulator, pool_of):
    server = await simulator()
    pool = pool_of(server)
    with pytest.raises(ZeroDivisionError):
        async with pool.lease():
            raise ZeroDivisionError
    await deliver(pool, mail(0))
    assert (await client.counters(server.control)).connections == 2


async def test_closing_the_pool_closes_its_sessions(simulator, pool_of):
    server = await simulator()
    pool = pool_of(server)
    await deliver(pool, mail(0))
    await pool.close()
    async with asyncio.timeout(5):
        while (await client.counters(server.control)).open_connections:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.01)
    assert open_connections() == 0


async def test_a_session_that_was_idle_is_asked_before_it_is_used(stack, pool_of, monkeypatch):
    monkeypatch.setattr(smtp_pool, "CHECK_AFTER_SECONDS", 0)
    commands = []

    async def converse(reader, writer):
        await answer(reader, writer, commands)

    pool = pool_of(await stack.enter_async_context(smtp_servers.scripted(converse)))
    assert await deliver(pool, mail(0)) == [Accepted]
    assert await deliver(pool, mail(1)) == [Accepted]
    assert [command for command in commands if command in {b"EHLO", b"NOOP"}] == [b"EHLO", b"NOOP"]


async def test_an_idle_session_that_the_server_closed_is_replaced_without_a_failure(simulator, pool_of, stack):
    connections = []

    async def converse(reader, writer):
        connections.append(writer)
        await answer(reader, writer, [])

    pool = pool_of(await stack.enter_async_context(smtp_servers.scripted(converse)))
    await deliver(pool, mail(0))
    connections[0].close()
    await connections[0].wait_closed()
    await asyncio.sleep(0)
    assert await deliver(pool, mail(1)) == [Accepted]
    assert len(connections) == 2


async def test_sessions_idle_for_long_are_closed(simulator, pool_of, monkeypatch):
    monkeypatch.setattr(smtp_pool, "CLOSE_AFTER_SECONDS", 0.05)
    server = await simulator()
    await deliver(pool_of(server), mail(0))
    async with asyncio.timeout(5):
        while (await client.counters(server.control)).open_connections:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.01)


async def test_after_a_failed_connection_the_next_is_not_tried_at_once(pool_of, free_port):
    pool = pool_of(smtp_servers.Running(free_port()))
    with pytest.raises(ConnectionFailed, match="no connection"):
        await deliver(pool, mail(0))
    with pytest.raises(ConnectionFailed, match=r"waiting .* s") as failed:
        await deliver(pool, mail(0))
    assert 0 < failed.value.retry_after_seconds <= smtp_pool.FIRST_BACKOFF_SECONDS


async def test_a_server_that_turns_us_away_is_quoted(stack, pool_of):
    async def converse(reader, writer):
        writer.write(b"554 5.7.1 No service for you, try again in 30 seconds\r\n")
        await writer.drain()

    pool = pool_of(await stack.enter_async_context(smtp_servers.scripted(converse)))
    with pytest.raises(ConnectionFailed, match=r"turned us away: 554 5\.7\.1 No service for you") as failed:
        await deliver(pool, mail(0))
    assert failed.value.reply.code == 554
    assert failed.value.retry_after_seconds == 30


# servers that cannot pipeline


async def answer(reader, writer, commands, *, forgets_after=None):
    """A tiny server; `forgets_after` a command it drops whatever else it has read, as real ones do."""
    replies = {b"EHLO": EHLO, b"DATA": b"354 go\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n"}
    writer.write(b"220 hello\r\n")
    while line := await reader.readline():
        command = line[:4].strip().upper()
        commands.append(command)
        if command == b"QUIT":
            return
        writer.write(replies.get(command, b"250 ok\r\n"))
        if command == forgets_after:
            reader._buffer.clear()
        if command == b"DATA":
            await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 taken\r\n")
        await writer.drain()


async def test_a_server_that_answers_out_of_sequence_is_spoken_to_one_command_at_a_time(stack, pool_of):
    async def converse(reader, writer):
        writer.write(b"220 hello\r\n")
        while chunk := await reader.read(65_536):
            several = chunk.count(b"\r\n") > 1 and not chunk.endswith(b"\r\n.\r\n")
            reply = EHLO if chunk.startswith(b"EHLO") else b"354 go\r\n" if chunk == b"DATA\r\n" else b"250 ok\r\n"
            writer.write(b"250 ok\r\n503 one at a time\r\n503 please\r\n" if several else reply)

    pool = pool_of(await stack.enter_async_context(smtp_servers.scripted(converse)))
    async with pool.lease() as driver:
        assert isinstance(driver, PipelinedDriver)
        assert [type(outcome) for outcome in await driver.deliver([mail(0), mail(1)])] == [NotTried, NotTried]
    async with pool.lease() as driver:
        assert isinstance(driver, PlainDriver)
        assert [type(outcome) for outcome in await driver.deliver([mail(0), mail(1)])] == [Accepted, Accepted]


async def test_a_server_that_forgets_what_it_was_sent_is_noticed_after_a_few_times(stack, pool_of):
    async def converse(reader, writer):
        await answer(reader, writer, [], forgets_after=b"MAIL")

    server = await stack.enter_async_context(smtp_servers.scripted(converse))
    pool = pool_of(server, command_timeout_seconds=0.1)
    for _ in range(3):
        assert await deliver(pool, mail(0), mail(1)) == [Refused, NotTried]
    assert await deliver(pool, mail(0), mail(1)) == [Accepted, Accepted]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_with_faults_every_mail_is_told_truly(simulator, pool_of, pipelining):
    faults = Faults(drop_before_accepting=0.1, drop_after_accepting=0.1, garbage=0.1, shut_down=0.1, seed=7)
    server = await simulator(faults=faults)
    pool = pool_of(server, pipelining=pipelining, pipeline_depth=4)
    outcomes = {}
    for _ in range(30):
        left = [mail(n) for n in range(20) if mail(n).mail_id not in outcomes][:4]
        async with pool.lease() as driver:
            for one, outcome in zip(left, await driver.deliver(left) if left else [], strict=True):
                if isinstance(outcome, Accepted | Unknown):
                    outcomes[one.mail_id] = type(outcome)
    accepted = await server.accepted()
    assert len(outcomes) == 20
    assert len(accepted) == len(set(accepted))
    assert set(accepted) >= {mail_id for mail_id, kind in outcomes.items() if kind is Accepted}
    assert set(accepted) <= set(outcomes)


# backoff


def test_every_failure_doubles_the_wait_up_to_a_limit():
    backoff, now, waits = Backoff(Random(1)), 0.0, []
    for _ in range(10):
        backoff.failed(now, now, None)
        waits.append(backoff.left(now))
        now += waits[-1]
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits[:6]))
    assert max(waits) <= smtp_pool.LONGEST_BACKOFF_SECONDS


def test_connections_that_fail_together_count_once():
    backoff = Backoff(Random(1))
    for _ in range(10):
        backoff.failed(0.0, 1.0, None)
    assert backoff.left(1.0) <= 1.0


def test_a_hint_of_the_server_is_respected_and_bounded():
    backoff = Backoff(Random(1))
    backoff.failed(0.0, 0.0, 30.0)
    assert backoff.left(0.0) == 30.0
    backoff.failed(30.0, 30.0, 3_600.0)
    assert backoff.left(30.0) == smtp_pool.LONGEST_BACKOFF_SECONDS


def test_success_ends_the_wait():
    backoff = Backoff(Random(1))
    backoff.failed(0.0, 0.0, None)
    backoff.succeeded()
    assert backoff.left(0.0) == 0


async def test_no_more_sessions_stay_open_than_may(simulator, pool_of):
    pool = pool_of(await simulator(), max_connections=4)
    async with AsyncExitStack() as leases:
        for _ in range(4):
            await leases.enter_async_context(pool.lease())
    assert open_connections() == 4
    pool.keep_open(2)
    assert open_connections() == 2
    async with pool.lease(), pool.lease():
        pool.keep_open(1)
        assert open_connections() == 2
    assert open_connections() == 1
