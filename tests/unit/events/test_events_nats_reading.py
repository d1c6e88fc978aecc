"""Reading from copies of a stream that lack what its leader has, as those of a host that was cut off."""

import asyncio
import base64
import json

import pytest

from events import nats_leader, nats_reading
from events.errors import BusUnavailable
from events.nats_wire import NoAnswer

NOBODY = b"NATS/1.0 503\r\n\r\n"


class Replicas:
    """A stream in a cluster as a client sees it: the leader has all of it, who answers a direct get has what `copies` say, one
    after the other; the last one goes on answering. None: nothing comes back."""

    def __init__(self, leader, *copies):
        self.leader = list(leader)
        self.copies = list(copies)
        self.asked = []
        self._receivers = {}

    def new_inbox(self):
        return f"inbox.{len(self.asked)}"

    async def receive(self, subject, receiver, *, max_messages=0):
        self._receivers[subject] = receiver
        return subject

    async def forget(self, handle):
        del self._receivers[handle]

    def on_lost(self, listener):
        return lambda: None

    def on_refused(self, subject, listener):
        return lambda: None

    async def send(self, frames):
        head, _, rest = frames.partition(b"\r\n")
        _, subject, inbox, _ = head.decode().split()
        wanted = json.loads(rest)
        self.asked.append(subject)
        copy = self.copies.pop(0) if len(self.copies) > 1 else self.copies[0]
        if copy is None:
            return
        receiver = self._receivers[inbox]
        found = [number for number in copy if number >= wanted["seq"]]
        for number in found:
            receiver(b"", b"", b"%d" % number, headers_of(number))
        receiver(
            b"", b"", b"", b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n" if found else b"NATS/1.0 404\r\n\r\n"
        )

    async def ask(self, subject, payload, timeout_seconds):
        self.asked.append(subject)
        if not self.leader:
            return b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}'
        data = base64.b64encode(b"%d" % self.leader[-1]).decode()
        return json.dumps({"message": {"subject": "s", "seq": self.leader[-1], "data": data, "time": ""}}).encode()


def headers_of(number):
    return b"NATS/1.0\r\nNats-Subject: s\r\nNats-Sequence: %d\r\nNats-Time-Stamp: 2026-01-01T00:00:00Z\r\n\r\n" % number


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch):
    monkeypatch.setattr(nats_reading, "_BEHIND_PAUSE_SECONDS", 0)
    monkeypatch.setattr(nats_reading, "_SURE_FOR_SECONDS", 0)
    monkeypatch.setattr(nats_reading, "_SILENCES_SECONDS", (0.01, 0.01))


async def everything(client, from_sequence=1):
    return [stored.record.sequence async for stored in nats_reading.read(client, "S", "s", from_sequence)]


async def test_what_a_copy_lacks_is_waited_for():
    assert await everything(Replicas([1, 2, 3], [1], [1, 2], [1, 2, 3])) == [1, 2, 3]


async def test_a_copy_that_stays_behind_is_no_answer(monkeypatch):
    monkeypatch.setattr(nats_reading, "TIMEOUT_SECONDS", 0)
    with pytest.raises(BusUnavailable, match="the copy of S that answers is behind the others"):
        await everything(Replicas([1, 2, 3], [1, 2]))


async def test_the_end_is_that_of_the_beginning():
    client = Replicas([1, 2], [1, 2, 3, 4])
    assert await everything(client) == [1, 2]


async def test_where_there_is_nothing_more_no_copy_is_asked():
    client = Replicas([1, 2], [1, 2])
    assert await everything(client, from_sequence=3) == []
    assert await everything(Replicas([])) == []
    assert client.asked == ["$JS.API.STREAM.MSG.GET.S"]


async def test_what_is_deleted_while_it_is_read_is_not_waited_for():
    client = Replicas([1, 2, 3], [1, 2])
    reading = nats_reading.read(client, "S", "s", 1)
    assert [(await anext(reading)).record.sequence, (await anext(reading)).record.sequence] == [1, 2]
    client.leader = [1, 2]
    assert [stored async for stored in reading] == []


async def test_a_page_that_nobody_answers_is_asked_for_again():
    assert await everything(Replicas([1, 2], None, [1, 2])) == [1, 2]
    with pytest.raises(NoAnswer):
        await everything(Replicas([1, 2], None))


async def test_a_follower_that_must_miss_nothing_notices_that_its_copy_is_behind():
    client = Replicas([1, 2], [1])
    following = nats_reading.follow(client, "S", "s", 1, surely=True)
    assert (await anext(following)).record.sequence == 1
    with pytest.raises(BusUnavailable, match="behind"):
        await asyncio.wait_for(anext(following), 10)


async def test_a_follower_goes_on_where_its_copy_has_caught_up():
    client = Replicas([1, 2], [1], [1, 2])
    following = nats_reading.follow(client, "S", "s", 1, surely=True)
    assert [(await anext(following)).record.sequence, (await anext(following)).record.sequence] == [1, 2]


async def test_a_leader_that_is_not_there_is_an_error_and_not_an_empty_stream():
    class Leaderless(Replicas):
        async def ask(self, subject, payload, timeout_seconds):
            return b'{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}'

    with pytest.raises(BusUnavailable):
        await everything(Leaderless([1], [1]))
    with pytest.raises(BusUnavailable):
        await nats_leader.newest(Leaderless([1]), "S", "s")
