"""Streams to archives and back, on real servers, by the one user that may."""

import nats_users
import pytest

from events import campaigns, streams, subjects
from events.bus import Message
from events.errors import BusError, NotPermitted
from events.nats_bus import BusSettings, NatsBus
from jetpost import archives, provision
from jetpost.errors import Fault

LARGE = b"x" * 100_000
"""Several of them are several chunks of an archive."""


async def connect(server, user):
    settings = BusSettings(url=server.url, user=user, password=nats_users.password_of(user))
    return await NatsBus.connect(settings, name="test")


@pytest.fixture
async def bus(tmp_path):
    """That of the user who sets up, on a server with users; something lies in its streams."""
    async with nats_users.ServerWithUsers(tmp_path / "nats") as server:
        connected = await connect(server, "setup")
        admin = await connect(server, nats_users.ADMIN)
        await connected.setup()
        due = subjects.mail_due("main", "gmail", "spring")
        await admin.publish("MAIL", [Message(due, LARGE + b"%d" % n, f"m{n}/1") for n in range(20)])
        waiting = subjects.mail_waiting("spring", "main", "gmail", "soft", "m")
        await admin.publish("MAIL", [Message(waiting, b"later", "later", due_at=4e9, target=due)])
        await admin.create_consumer(streams.lane("spring", "main", "gmail"))
        consumer = await admin.consumer("MAIL", streams.lane_name("spring", "main", "gmail"))
        await consumer.ack((await consumer.fetch(5, 5))[:3])
        await (await admin.bucket(streams.PROGRESS)).put("spring", b"far")
        await (await admin.blobs(streams.BLOBS)).put("compiled", LARGE)
        yield connected
        await admin.close()
        await connected.close()


def tell_nobody(_archived):
    """For those who do not watch."""


async def test_what_lay_in_a_store_lies_in_another(bus, tmp_path):
    await archives.take(bus, tmp_path / "backup", 1.0, tell_nobody)
    manifest = archives.read(tmp_path / "backup")
    assert {one.archived.name for one in manifest.streams} == set(bus.stream_names())

    async with nats_users.ServerWithUsers(tmp_path / "other") as server:
        other = await connect(server, "setup")
        await archives.require_empty(other, manifest)
        await archives.put_back(other, tmp_path / "backup", manifest.streams, tell_nobody)
        assert await other.lacking() == []
        admin = await connect(server, nats_users.ADMIN)
        records = [record async for record in admin.read("MAIL", ">")]
        assert len(records) == 18
        assert [record.due_at for record in records if record.due_at] == [4e9]
        lane = await admin.consumer_state("MAIL", streams.lane_name("spring", "main", "gmail"))
        assert (lane.waiting, lane.in_flight) == (15, 2)
        assert (await (await admin.bucket(streams.PROGRESS)).get("spring")).value == b"far"
        assert await (await admin.blobs(streams.BLOBS)).get("compiled") == LARGE
        assert await campaigns.all_of(admin) == []
        await admin.close()
        await other.close()


async def test_a_backup_is_put_back_into_an_empty_store_only(bus, tmp_path):
    await archives.take(bus, tmp_path / "backup", 1.0, tell_nobody)
    with pytest.raises(Fault, match="into an empty NATS only"):
        await archives.require_empty(bus, archives.read(tmp_path / "backup"))


async def test_a_stream_that_is_there_is_not_overwritten_whoever_asks(bus):
    chunks = []
    archived = await bus.archive("MAIL", chunks.append)
    with pytest.raises(BusError):
        await bus.restore(archived, chunks)


async def test_a_damaged_backup_is_noticed_before_anything_is_restored(bus, tmp_path):
    await archives.take(bus, tmp_path / "backup", 1.0, tell_nobody)
    file = tmp_path / "backup" / "MAIL.stream"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Fault, match=r"MAIL\.stream is not what was written"):
        archives.read(tmp_path / "backup")


async def test_one_that_was_not_finished_is_none(bus, tmp_path):
    with pytest.raises(Fault, match="is no backup, or one that was not finished"):
        archives.read(tmp_path)


async def test_no_sender_may_take_one(tmp_path):
    async with nats_users.ServerWithUsers(tmp_path) as server:
        await provision.streams(BusSettings(url=server.url, user="setup", password=nats_users.password_of("setup")))
        sender = await connect(server, "sender")
        with pytest.raises(NotPermitted):
            await sender.archive("MAIL", tell_nobody)
        await sender.close()
