"""What `MemoryBus` adds to the contract (tests/contract/test_bus.py): time by a clock, and failures at will."""

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import streams, subjects
from events.bus import Message
from events.errors import BusUnavailable, StreamFull
from events.memory_stream import matches

DUE = subjects.mail_due("main", "gmail", "spring")
LANE = streams.lane("spring", "main", "gmail")


async def open_lane(bus):
    await bus.create_consumer(LANE)
    return await bus.consumer("MAIL", LANE.name)


async def test_the_ack_wait_runs_by_the_clock(memory_bus, clock):
    lane = await open_lane(memory_bus)
    await memory_bus.publish("MAIL", [Message(DUE, b"mail")])
    await lane.fetch(1, 0)
    clock.advance(streams.ACK_WAIT_SECONDS - 1)
    assert await lane.fetch(1, 0) == []
    clock.advance(1)
    (again,) = await lane.fetch(1, 0)
    assert again.deliveries == 2


async def test_a_scheduled_mail_fires_by_the_clock(memory_bus, clock):
    lane = await open_lane(memory_bus)
    waiting = subjects.mail_waiting("spring", "main", "gmail", "soft", "a")
    await memory_bus.publish("MAIL", [Message(waiting, b"mail", "a/2", clock() + 3_600, DUE)])
    clock.advance(3_599)
    assert await lane.fetch(1, 0) == []
    clock.advance(1)
    assert [d.payload for d in await lane.fetch(1, 0)] == [b"mail"]


async def test_an_id_is_forgotten_after_the_deduplication_window(memory_bus, clock):
    await memory_bus.publish("EVENTS", [Message("events.a.b", b"", "x")])
    clock.advance(streams.DEDUPLICATION_SECONDS)
    (stored,) = await memory_bus.publish("EVENTS", [Message("events.a.b", b"", "x")])
    assert not stored.duplicate


async def test_claims_go_when_their_time_is_over(memory_bus, clock):
    await memory_bus.publish("CLAIMS", [Message("claims", b"", "a/1")])
    clock.advance(streams.CLAIMS.max_age_seconds)
    assert (await memory_bus.stream_state("CLAIMS")).messages == 0


async def test_a_waiting_fetch_notices_that_the_clock_moved(memory_bus, clock):
    lane = await open_lane(memory_bus)
    await memory_bus.publish("MAIL", [Message(DUE, b"mail")])
    await lane.fetch(1, 0)
    fetching = asyncio.ensure_future(lane.fetch(1, 5))
    await asyncio.sleep(0)
    clock.advance(streams.ACK_WAIT_SECONDS)
    assert len(await fetching) == 1


async def test_every_call_fails_while_the_bus_is_unavailable(memory_bus):
    lane, bucket = await open_lane(memory_bus), await memory_bus.bucket("campaigns")
    memory_bus.unavailable = True
    for call in (lambda: lane.fetch(1, 0), lambda: memory_bus.publish("MAIL", []), lambda: bucket.put("a", b"")):
        with pytest.raises(BusUnavailable):
            await call()


async def test_a_watch_waits_until_the_bus_is_back(memory_bus):
    bucket = await memory_bus.bucket("campaigns")
    async with asyncio.timeout(5), aclosing(bucket.watch()) as watch:
        assert await anext(watch) is None
        await bucket.put("a", b"1")
        memory_bus.unavailable = True
        change = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0.03)
        assert not change.done()
        memory_bus.unavailable = False
        assert (await change).value == b"1"


@pytest.mark.parametrize(
    "message",
    [
        Message("claims", b""),
        Message(DUE, b"", "", 1.0),
        Message(subjects.MAIL_WAITING[:-1] + "a", b"", "", 1.0, "claims"),
    ],
    ids=["another stream's subject", "a due time without target", "another stream's target"],
)
async def test_what_the_real_server_would_not_store_is_refused(memory_bus, message):
    with pytest.raises(ValueError, match="MAIL"):
        await memory_bus.publish("MAIL", [message])


@pytest.mark.parametrize(
    ("filter_subject", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("*.b", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*.>", "a.b.c.d", True),
        ("a.*.>", "a.b", False),
    ],
)
def test_filters_match_as_nats_says(filter_subject, subject, expected):
    assert matches(filter_subject, subject) is expected


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.data())
def test_a_filter_made_from_a_subject_matches_it(tokens, data):
    wild = [data.draw(st.sampled_from([token, "*"])) for token in tokens]
    assert matches(".".join(wild), ".".join(tokens))
    cut = data.draw(st.integers(0, len(tokens) - 1))
    assert matches(".".join([*wild[:cut], ">"]), ".".join(tokens))


async def test_a_full_store_refuses_until_it_has_room(memory_bus):
    await memory_bus.publish("MAIL", [Message(DUE, bytes(100))])
    memory_bus.storage_limit = 100
    with pytest.raises(StreamFull):
        await memory_bus.publish("MAIL", [Message(DUE, b"more")])
    memory_bus.storage_limit = 1_000
    await memory_bus.publish("MAIL", [Message(DUE, b"more")])
