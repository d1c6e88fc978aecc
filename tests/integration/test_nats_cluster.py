"""The bus on a cluster of three servers that keep three copies: what is on its way to them, and a consumer without a leader."""

import asyncio

import pytest
import pytest_asyncio
from process_watching import until

from benchmarks.chaos.cluster import Cluster
from events import documents, streams, subjects
from events.bus import Message
from events.errors import RetryLater
from events.nats_bus import BusSettings, NatsBus
from jetpost import provision

pytestmark = pytest.mark.asyncio(loop_scope="module")

LANE = streams.lane("spring", "main", "gmail")
MAIL = Message(subjects.mail_due("main", "gmail", "spring"), b"mail", "m/1")
WAIT_SECONDS = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory):
    async with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
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


async def test_of_many_who_change_the_same_at_once_one_is_first_and_the_others_hear_of_it(bus):
    """While a value is on its way to the replicas the server refuses others with an error of its own."""
    bucket = await bus.bucket(streams.THROTTLE)

    def one_more(before):
        return b"%d" % (int(before or 0) + 1)

    async def count():
        for _ in range(20):
            await documents.change(bucket, "counter", one_more)

    await asyncio.gather(*(count() for _ in range(5)))
    assert (await bucket.get("counter")).value == b"100"

    parked = Message(subjects.mail_waiting("spring", "main", "gmail", "requeued", "m"), b"mail")
    tried = await asyncio.gather(*(bus.replace(LANE.stream, [parked], [0]) for _ in range(20)))
    (place,) = [place for (place,) in tried if place]
    await bus.delete(LANE.stream, [place])


async def test_what_is_on_its_way_to_the_replicas_may_be_published_again(cluster, bus):
    leading = await cluster.leader("CLAIMS")
    others = [name for name in cluster.names if name != leading]
    beside = await NatsBus.connect(BusSettings(url=cluster.url_of(leading), replicas=3), name="test")
    claim = Message(subjects.CLAIMS, b"claim", "m/1")
    for name in others:
        cluster.freeze(name)
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside.publish("CLAIMS", [claim]), 0.5)
        with pytest.raises(RetryLater):
            await beside.publish("CLAIMS", [claim])
    finally:
        for name in others:
            cluster.thaw(name)
    (stored,) = await patiently(lambda: bus.publish("CLAIMS", [claim]))
    assert stored.sequence == 1
    await beside.close()


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
