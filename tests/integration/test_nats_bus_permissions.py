"""What the bus says where the server does not let a user do something: at once, and with the subject."""

import asyncio
import json
import logging
import time

import pytest

from events import streams
from events.bus import Message
from events.errors import NotPermitted
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

ALLOWED = ["$JS.API.STREAM.INFO.>", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.CONSUMER.INFO.>", "events.>"]
EVENT = Message("events.a.b", b"", "e1")
MAIL = Message("mail.send.pool.gmail.spring", b"", "m1/1")


class ServerWithUsers(NatsServer):
    """One user may do everything, the other next to nothing."""

    def _config(self):
        config = json.loads(super()._config())
        weak = {"publish": ALLOWED, "subscribe": ["_INBOX_weak.>"]}
        config["accounts"]["jetpost"]["users"] = [
            {"user": "strong", "password": "s"},
            {"user": "weak", "password": "w", "permissions": weak},
        ]
        del config["no_auth_user"]
        return json.dumps(config)


@pytest.fixture
async def weak(tmp_path):
    """The bus of the user who may do next to nothing."""
    async with ServerWithUsers(tmp_path) as server:
        strong = await NatsBus.connect(BusSettings(url=server.url, user="strong", password="s"), name="test")
        await strong.setup()
        await strong.close()
        bus = await NatsBus.connect(BusSettings(url=server.url, user="weak", password="w"), name="test")
        yield bus
        await bus.close()


async def test_whatever_is_not_permitted_is_refused_at_once_with_its_subject(weak):
    bucket, blobs = await weak.bucket(streams.CAMPAIGNS), await weak.blobs()
    preferences = await weak.bucket(streams.PREFERENCES)
    await weak.publish("EVENTS", [EVENT])
    consumer = await weak.consumer("EVENTS", "wishes")
    refused = {
        "mail.send.pool.gmail.spring": lambda: weak.publish("MAIL", [MAIL]),
        "$JS.API.STREAM.PURGE.MAIL": lambda: weak.purge("MAIL", ">"),
        "$JS.API.STREAM.MSG.DELETE.MAIL": lambda: weak.delete("MAIL", [1]),
        "$JS.API.CONSUMER.DELETE.MAIL.lane": lambda: weak.delete_consumer("MAIL", "lane"),
        "$JS.API.INFO": weak.storage,
        "$JS.API.DIRECT.GET.EVENTS": lambda: anext(weak.read("EVENTS", "events.>")),
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.wishes": lambda: consumer.fetch(1, 30),
        "$JS.API.STREAM.MSG.GET.KV_campaigns": lambda: bucket.get("spring"),
        "$JS.API.DIRECT.GET.KV_campaigns.$KV.campaigns.spring": lambda: bucket.glance("spring"),
        "$KV.campaigns.spring": lambda: bucket.put("spring", b""),
        "$JS.API.STREAM.MSG.GET.KV_preferences": preferences.entries,
        "$JS.API.STREAM.MSG.GET.OBJ_blobs": lambda: blobs.get("spring"),
        "$JS.API.STREAM.CREATE.OTHER": lambda: weak._api("STREAM.CREATE.OTHER", {}),
    }
    for subject, call in refused.items():
        started = time.monotonic()
        with pytest.raises(NotPermitted) as refusal:
            await call()
        said = f"NATS does not allow the user weak to publish to {subject}: check nats.user"
        assert str(refusal.value).startswith(said)
        assert time.monotonic() - started < 5


async def test_who_asks_for_something_else_at_the_same_moment_gets_an_answer(weak):
    refused, stored, state = await asyncio.gather(
        weak.publish("MAIL", [MAIL]), weak.publish("EVENTS", [EVENT]), weak.stream_state("MAIL"), return_exceptions=True
    )
    assert isinstance(refused, NotPermitted)
    assert [one.duplicate for one in stored] == [False]
    assert state.messages == 0


async def test_a_refusal_that_nobody_waits_for_is_logged_once(weak, caplog):
    following = weak.read("EVENTS", "events.>", follow=True)
    weak._client._on_refused("publish", "$JS.ACK.MAIL.lane.1")
    weak._client._on_refused("publish", "$JS.ACK.MAIL.lane.1")
    with pytest.raises(NotPermitted):
        await anext(following)
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len([line for line in logged if "$JS.ACK.MAIL.lane.1" in line]) == 1
    assert any("to subscribe to events.>" in line for line in logged)


async def test_the_connection_goes_on(weak):
    with pytest.raises(NotPermitted):
        await weak.purge("MAIL", ">")
    assert [one.duplicate for one in await weak.publish("EVENTS", [EVENT])] == [False]
    assert weak.interruptions == 0
