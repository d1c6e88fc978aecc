"""How messages are published again after a lost connection."""

import asyncio
import base64
import json

import pytest

from events import nats_publish
from events.bus import Message, Storage, Stored
from events.nats_publish import Publisher
from events.nats_wire import ConnectionLost


class BrokenPipe:
    """A connection that is gone, and looks well until whoever watches it gets a turn of the event loop."""

    def __init__(self):
        self.noticed = asyncio.Event()

    async def exchange(self, answers, encode, timeout_seconds):
        if not self.noticed.is_set():
            raise ConnectionLost
        return [b'{"stream":"MAIL","seq":%d}' % number for number in range(1, answers + 1)]

    async def wait_until_connected(self, timeout_seconds):
        """At once: it looks well."""


class LostAnswer:
    """Stores what it is sent, breaks before it answers, and then calls everything a duplicate of one and the same message."""

    max_payload = 1_000_000

    def __init__(self):
        self.sent = []

    async def exchange(self, answers, encode, timeout_seconds):
        self.sent.append(encode(b"inbox"))
        if len(self.sent) == 1:
            raise ConnectionLost
        return [b'{"stream":"CLAIMS","seq":7,"duplicate":true}'] * answers

    async def ask(self, subject, payload, timeout_seconds):
        headers = base64.b64encode(self.sent[0].partition(b"NATS/1.0")[2]).decode()
        return json.dumps({"message": {"seq": 7, "hdrs": headers}}).encode()

    async def wait_until_connected(self, timeout_seconds):
        """At once."""


async def storage():
    return Storage(used=0, limit=None)


async def test_a_broken_connection_that_looks_well_does_not_keep_the_event_loop_for_itself():
    client = BrokenPipe()
    publisher = Publisher(client, storage, in_batches=False)
    asyncio.get_running_loop().call_soon(client.noticed.set)
    stored = await asyncio.wait_for(
        publisher.publish("MAIL", [Message("mail", b"", "a/1"), Message("mail", b"", "b/1")]), 5
    )
    assert stored == [Stored(1, False), Stored(2, False)]


async def test_a_connection_that_breaks_each_time_is_given_up_in_time(monkeypatch):
    """As where the server cuts whoever sends it this very message."""
    monkeypatch.setattr(nats_publish, "TIMEOUT_SECONDS", 0.05)
    publisher = Publisher(BrokenPipe(), storage, in_batches=False)
    with pytest.raises(ConnectionLost):
        await asyncio.wait_for(publisher.publish("MAIL", [Message("mail", b"", "a/1")]), 5)


async def test_of_two_messages_with_one_id_only_the_first_is_ours_though_the_answer_was_lost():
    """Otherwise both copies of a mail would count as claimed."""
    publisher = Publisher(LostAnswer(), storage, in_batches=False)
    stored = await publisher.publish("CLAIMS", [Message("claims", b"1", "a/1"), Message("claims", b"2", "a/1")])
    assert stored == [Stored(7, False), Stored(7, True)]
