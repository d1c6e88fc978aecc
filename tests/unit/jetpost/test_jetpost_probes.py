"""Probes: who lives, who is ready, and who says so while its loop is stuck."""

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from jetpost import probes


def get(url):
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def told(url):
    status, body = await asyncio.to_thread(get, url)
    return status, json.loads(body)


async def fine():
    """A check that finds nothing wrong."""


@pytest.fixture
async def health(clock):
    return probes.Health(clock)


@pytest.fixture
async def address(health):
    registry = CollectorRegistry()
    Counter("mails", "For this test", registry=registry).inc(3)
    with probes.served("127.0.0.1", 0, registry, health) as found:
        yield found


async def test_a_process_whose_loop_turns_lives(address):
    assert await told(f"{address}/healthz") == (200, {"loop": "ok"})


async def test_a_process_whose_loop_has_not_turned_for_long_does_not_live(address, clock):
    clock.now += probes.STUCK_AFTER_SECONDS
    assert await told(f"{address}/healthz") == (503, {"loop": "has not turned for 30 seconds"})


async def test_each_turn_of_the_loop_counts(address, health, clock):
    clock.now += probes.STUCK_AFTER_SECONDS
    async with probes.beating(health):
        await asyncio.sleep(0)  # the heart is a task: this is its turn
        assert (await told(f"{address}/healthz"))[0] == 200


async def test_a_process_is_ready_when_every_check_finds_nothing_wrong(address, health):
    health.add("nats", fine)
    health.add("clickhouse", fine)
    assert await told(f"{address}/readyz") == (200, {"nats": "ok", "clickhouse": "ok"})


async def test_what_keeps_it_from_being_ready_is_told(address, health):
    async def lacks():
        raise probes.Lacking(["MAIL", "throttle"])

    health.add("nats", lacks)
    health.add("clickhouse", fine)
    status, found = await told(f"{address}/readyz")
    assert status == 503
    assert found == {"nats": "not as this release needs it: MAIL, throttle. Run: jetpost setup", "clickhouse": "ok"}


async def test_an_error_without_words_is_told_by_its_name(address, health):
    async def breaks():
        raise KeyError

    health.add("nats", breaks)
    assert await told(f"{address}/readyz") == (503, {"nats": "KeyError"})


async def test_a_check_that_is_added_again_replaces_the_one_before(address, health):
    async def not_yet():
        raise RuntimeError("not connected yet")

    health.add("nats", not_yet)
    health.add("nats", fine)
    assert await told(f"{address}/readyz") == (200, {"nats": "ok"})


async def test_a_stuck_loop_is_told_by_who_does_not_need_it(clock):
    health = probes.Health(clock, patience_seconds=0.05)
    health.add("nats", fine)
    answers = []
    with probes.served("127.0.0.1", 0, CollectorRegistry(), health) as address:
        asking = threading.Thread(target=lambda: answers.append(get(f"{address}/readyz")))
        asking.start()
        asking.join()  # holds the loop, as it should never be held
    assert answers == [(503, '{"loop": "does not turn"}\n')]


async def test_metrics_are_served_beside_the_probes(address):
    status, body = await asyncio.to_thread(get, f"{address}/metrics")
    assert status == 200
    assert "mails_total 3.0" in body


async def test_an_address_of_ipv6_is_written_with_brackets(health):
    with (
        contextlib.suppress(OSError),
        probes.served("::1", 0, CollectorRegistry(), health) as found,
    ):  # where there is IPv6
        assert found.startswith("http://[::1]:")
        assert (await told(f"{found}/healthz"))[0] == 200


async def test_a_port_that_is_taken_is_an_error(address, health):
    port = int(address.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), probes.served("127.0.0.1", port, CollectorRegistry(), health):
        pass
