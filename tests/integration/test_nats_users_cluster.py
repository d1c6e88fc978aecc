"""Those who face strangers reach the streams of another account through whichever server of a cluster they are connected to."""

import asyncio

import pytest
from nats_users import ADMIN, ClusterWithUsers, password_of, passwords_in_the_environment
from test_nats_cluster import patiently

from events import streams
from events.bus import Message
from events.nats_bus import BusSettings, NatsBus
from jetpost import provision

REFUSERS = 1_200
"""More than a page."""


def settings_of(url, user):
    return BusSettings(url=url, user=user, password=password_of(user), replicas=3)


@pytest.fixture
async def cluster(tmp_path):
    with passwords_in_the_environment():
        async with ClusterWithUsers(tmp_path) as cluster:
            yield cluster


async def test_whichever_server_it_is_and_whoever_leads_the_streams(cluster):
    await provision.streams(settings_of(cluster.url, "setup"))
    admin = await NatsBus.connect(settings_of(cluster.url, ADMIN), name="test")
    await (await admin.bucket(streams.CAMPAIGNS)).put("spring", b"campaign")
    await (await admin.blobs(streams.LINKS)).put("spring/links", bytes(300_000))
    refusals = await admin.bucket(streams.PREFERENCES)
    await asyncio.gather(*(refusals.put(f"p{number}", b"no") for number in range(REFUSERS)))
    for number, url in enumerate(cluster.url.split(",")):
        public = await NatsBus.connect(settings_of(url, "public"), name="test")
        assert (await (await public.bucket(streams.CAMPAIGNS)).glance("spring")).value == b"campaign"
        assert await patiently(lambda public=public: links(public)) == bytes(300_000)
        assert len(await (await public.bucket(streams.PREFERENCES)).entries()) == REFUSERS
        await public.append("CALLBACKS", callbacks(number, 300))
        await public.close()

    public = await NatsBus.connect(settings_of(cluster.url, "public"), name="test")
    cluster.kill(await cluster.leader("CALLBACKS"))
    await patiently(lambda: public.append("CALLBACKS", callbacks("last", 300)))
    assert (await patiently(lambda: admin.stream_state("CALLBACKS"))).messages == 4 * 300
    await public.close()
    await admin.close()


async def links(bus):
    return await (await bus.blobs(streams.LINKS)).get("spring/links")


def callbacks(which, count):
    return [Message("callbacks.new.esp.shop", b"told", f"{which}/{number}") for number in range(count)]
