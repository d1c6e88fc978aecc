"""Senders say that they work, and are known by it."""

from events import fleet, streams
from events.fleet import Beat, Bounds, Line

BEAT = Beat(
    "a", 1_000.0, {"main": Line(20, 450.5, True, Bounds(rate=90.0), {"gmail": Bounds(connections=3, daily=500)})}
)


def test_what_a_sender_says_of_itself_is_read_as_it_was_written():
    assert fleet.decode(fleet.encode(BEAT)) == BEAT


def test_what_is_not_configured_takes_no_room():
    assert (
        fleet.encode(Beat("a", 1.0, {"main": Line(20)})) == b'{"sender":"a","at":1.0,"pools":{"main":{"sessions":20}}}'
    )


def test_those_count_that_said_so_lately():
    beats = [Beat("late", 1_000.0 - fleet.ALIVE_SECONDS - 0.1), Beat("b", 1_000.0), Beat("a", 990.0)]
    assert [beat.sender for beat in fleet.alive(beats, 1_000.0)] == ["a", "b"]


async def test_what_cannot_be_read_is_no_sender(memory_bus):
    bucket = await memory_bus.bucket(streams.SENDERS)
    await bucket.put("a", fleet.encode(BEAT))
    await bucket.put("strange", b'{"at": "noon"}')
    assert await fleet.read(memory_bus) == [BEAT]
