"""The bus on a cluster of three servers that keep three copies, while it is without a leader."""

import asyncio

import pytest
from process_watching import until

from benchmarks.chaos.cluster import Cluster
from events import streams, subjects
from events.bus import Message
from events.errors import RetryLater
from events.nats_bus import BusSettings, NatsBus
from jetpost import provision

LANE = streams.lane("spring", "main", "gmail")
MAIL = Message(subjects.mail_due("main", "gmail", "spring"), b"mail", "m/1")
WAIT_SECONDS = 60


@pytest.fixture
async def cluster(tmp_path):
    async with Cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def bus(cluster):
    settings = BusSettings(url=cluster.url, replicas=3)
    await provision.streams(settings)  # the servers have only just found each other
    bus = await NatsBus.connect(settings, name="test")
    await bus.create_consumer(LANE)
    yield bus
    await bus.close()


async def patiently(call):
    """What a worker does: `RetryLater` is no reason to end."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                return await call()
            except RetryLater:
                await asyncio.sleep(0.1)


async def test_a_consumer_that_changes_its_leader_is_not_called_missing(cluster, bus):
    lane = await bus.consumer(LANE.stream, LANE.name)
    for name in cluster.names:
        cluster.kill(name)
        back = asyncio.ensure_future(cluster.start(name))
        while not back.done():
            assert await patiently(lambda: lane.fetch(1, 0.05)) == []
        await back
    await patiently(lambda: bus.publish(LANE.stream, [MAIL]))
    (delivery,) = await patiently(lambda: lane.fetch(1, WAIT_SECONDS))
    assert delivery.payload == b"mail"


class TaggedCluster(Cluster):
    """Each server stands in a rack of its own."""

    def _config(self, node):
        return super()._config(node) | {"server_tags": [f"rack:{node.name[-1]}"]}


async def placement_of(settings, stream):
    bus = await NatsBus.connect(settings, name="test")
    try:
        return (await bus._api(f"STREAM.INFO.{stream}"))["config"].get("placement")
    finally:
        await bus.close()


async def test_a_copy_without_a_leader_does_not_say_how_much_there_is(cluster, bus):
    await patiently(lambda: bus.publish(LANE.stream, [MAIL]))
    leader = await cluster.leader(LANE.stream)
    others = [leader, next(name for name in cluster.names if name != leader)]
    for name in others:
        await cluster.stop(name)
    said = set()

    async def is_refused():
        try:
            await bus.stream_state(LANE.stream)
        except RetryLater as error:
            said.add(str(error))
        return "stream MAIL has no leader for the moment" in said

    await until(is_refused, WAIT_SECONDS)
    await asyncio.gather(*map(cluster.start, others))
    assert (await patiently(lambda: bus.stream_state(LANE.stream))).messages == 1


async def test_streams_lie_where_the_settings_say_and_stay_where_an_operator_put_them(tmp_path):
    async with TaggedCluster(tmp_path) as cluster:
        for rack in "23":
            settings = BusSettings(url=cluster.url, placement_tags=(f"rack:{rack}",))
            await provision.streams(settings)
            for stream in ("MAIL", "KV_campaigns"):
                await until(lambda stream=stream, name=f"nats-{rack}": leads(cluster, name, stream))
        await provision.streams(BusSettings(url=cluster.url))
        assert (await placement_of(settings, "MAIL"))["tags"] == ["rack:3"]


async def leads(cluster, name, stream):
    return await cluster.leader(stream) == name
