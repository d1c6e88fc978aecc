"""How messages are published again after a lost connection."""

import asyncio

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
