from __future__ import annotations

import asyncio

import pytest
from fakes import FakeClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from producing import (
    COMPILED,
    SETTINGS,
    Killed,
    Life,
    Mortal,
    plan,
    produce,
    publish_job,
    recipients,
    send_everything,
    set_status,
    stated,
)

from events import ids, schemas, streams, subjects
from events.bus import Message, Storage
from events.compression import Decompressor, Dictionary, decode_dictionary, encode_dictionary
from events.errors import BusUnavailable
from events.facts import BatchQueued, EmailFailed
from events.forms import Form
from events.memory_bus import MemoryBus
from events.schemas import BatchJob
from producer import worker
from producer.campaign import compiled
from producer.chunk import CHUNK, Presses
from producer.rendering.renderer import compile_campaign

ROWS = 4_003
"""Three chunks, the last one small."""


def done(bus: MemoryBus):
    """Nothing is left in BATCHES, or being worked on."""

    async def check() -> bool:
        return (await bus.stream_state("BATCHES")).messages == 0

    return check


async def checkpoints(bus: MemoryBus) -> int:
    return len(await (await bus.bucket(streams.PROGRESS)).entries())


async def produce_all(bus: MemoryBus, clock: FakeClock) -> None:
    async def tidy() -> bool:
        return await done(bus)() and await checkpoints(bus) == 0

    await produce(bus, clock, tidy)


async def test_every_recipient_of_a_batch_gets_one_mail_in_the_lane_of_its_provider(memory_bus, clock):
    rows = recipients(ROWS)
    await plan(memory_bus, rows)
    await produce_all(memory_bus, clock)
    counts = await memory_bus.count_by_subject("MAIL", subjects.MAIL_DUE)
    assert counts == {"mail.send.main.gmail.autumn": ROWS}
    assert await send_everything(memory_bus) == [row.address for row in rows]


async def test_a_queued_mail_is_the_rendered_message_compressed_with_the_campaigns_dictionary(memory_bus, clock):
    await plan(memory_bus, recipients(1, r0="Ada"))
    await produce_all(memory_bus, clock)
    [record] = [record async for record in memory_bus.read("MAIL", subjects.MAIL_DUE)]
    mail = schemas.decode_mail(record.payload)
    dictionary = await (await memory_bus.blobs()).get(compiled.dictionary_name("autumn"))
    message = Decompressor(dictionary).decompress(mail.body)
    assert b"Subject: Hello Ada\r\n" in message
    assert record.id == ids.attempt_id(ids.mail_id("autumn", "reader0@gmail.com"), 1)
    assert (mail.attempt, mail.queued_at, len(mail.body) < 100) == (1, clock(), True)


@pytest.mark.parametrize(("form", "name"), [(None, "Ada"), (Form(("of another release",)), "Ada"), (..., "x y" * 500)])
async def test_what_fillings_do_not_suit_is_compressed_as_a_whole(memory_bus, clock, form, name):
    await plan(memory_bus, recipients(1, r0=name))
    blobs = await memory_bus.blobs()
    if form is not ...:
        planned = decode_dictionary(await blobs.get(compiled.dictionary_name("autumn")))
        changed = encode_dictionary(Dictionary(planned.first_mail, form))
        await blobs.put(compiled.dictionary_name("autumn"), changed)
    await produce_all(memory_bus, clock)
    [record] = [record async for record in memory_bus.read("MAIL", subjects.MAIL_DUE)]
    body = schemas.decode_mail(record.payload).body
    [queued] = await stated(memory_bus, BatchQueued)
    message = Decompressor(await blobs.get(compiled.dictionary_name("autumn"))).decompress(body)
    assert body.startswith(b"(\xb5\x2f\xfd")
    assert message == compile_campaign(COMPILED, SETTINGS).render(recipients(1, r0=name)[0]).message
    assert queued.raw_bytes == len(message)


async def test_the_batch_states_what_became_of_its_recipients(memory_bus, clock):
    await plan(memory_bus, recipients(ROWS, r7="Eve\r\nBcc: all@example.com"))
    await produce_all(memory_bus, clock)
    [queued] = await stated(memory_bus, BatchQueued)
    assert (queued.batch, queued.queued, queued.failed, queued.suppressed) == (1, ROWS - 1, 1, 0)
    assert queued.raw_bytes > 4 * queued.queued_bytes


async def test_a_recipient_whose_mail_cannot_be_rendered_fails_alone_and_says_why(memory_bus, clock):
    await plan(memory_bus, recipients(3, r1="Eve\r\nBcc: all@example.com"))
    await produce_all(memory_bus, clock)
    [failed] = await stated(memory_bus, EmailFailed)
    assert (failed.recipient, failed.attempt, failed.failure_class) == ("reader1@gmail.com", 0, "render")
    assert "carriage return" in failed.reply
    assert await send_everything(memory_bus) == ["reader0@gmail.com", "reader2@gmail.com"]


async def test_a_message_that_is_no_batch_is_kept_and_holds_up_nobody(memory_bus, clock):
    await memory_bus.publish("BATCHES", [Message("batches.autumn", b"not a batch")])
    await plan(memory_bus, recipients(2))

    async def one_is_left() -> bool:
        return (await memory_bus.stream_state("BATCHES")).messages == 1

    await produce(memory_bus, clock, one_is_left)
    assert len(await send_everything(memory_bus)) == 2


async def test_batches_of_a_paused_campaign_wait_and_let_go_when_it_resumes(memory_bus, clock):
    await plan(memory_bus, recipients(2))
    await set_status(memory_bus, "paused")

    async def held() -> bool:
        state = await memory_bus.consumer_state("BATCHES", "producer")
        return state is not None and state.in_flight == 1

    async def resumed_and_done() -> bool:
        if await held():
            await set_status(memory_bus, "running")
        return await done(memory_bus)()

    await produce(memory_bus, clock, held)
    clock.advance(streams.ACK_WAIT_SECONDS + 1)
    assert await send_everything(memory_bus) == []
    await produce(memory_bus, clock, resumed_and_done)
    assert len(await send_everything(memory_bus)) == 2


async def test_batches_of_a_cancelled_campaign_are_dropped_and_what_came_late_is_purged(memory_bus, clock):
    await plan(memory_bus, recipients(2))
    await set_status(memory_bus, "cancelled")
    late = Message(subjects.mail_due("main", "gmail", "autumn"), b"queued after the purge")
    await memory_bus.publish("MAIL", [late])
    await produce(memory_bus, clock, done(memory_bus))
    assert (await memory_bus.stream_state("MAIL")).messages == 0
    assert await stated(memory_bus, BatchQueued) == []


async def test_stopping_leaves_a_clean_checkpoint_from_which_others_go_on(memory_bus, clock):
    await plan(memory_bus, recipients(ROWS))
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(memory_bus, SETTINGS, clock=clock, stop=stop))
    while (await memory_bus.stream_state("MAIL")).messages == 0:
        await memory_bus.wait_for_change(0.01)
    stop.set()
    await running
    queued = (await memory_bus.stream_state("MAIL")).messages
    assert queued in {2_000, 4_000}
    others = await memory_bus.consumer("BATCHES", "producer")
    assert len(await others.fetch(1, 0)) == 1
    sent = await send_everything(memory_bus)
    clock.advance(10 * streams.DEDUPLICATION_SECONDS)
    await produce_all(memory_bus, clock)
    sent += await send_everything(memory_bus)
    assert sorted(sent) == sorted(row.address for row in recipients(ROWS))


async def test_a_chunk_of_large_mails_ends_early_but_an_uncertain_one_is_whole(memory_bus, monkeypatch):
    await plan(memory_bus, recipients(0))
    rows = recipients(1_000)
    press = await Presses(memory_bus, SETTINGS).get("autumn")
    monkeypatch.setattr("producer.chunk.FULL_BYTES", 10_000)
    early, whole = await press.print(rows, 100, 1_000, 0.0), await press.print(rows, 100, 1_000, 0.0, whole=True)
    assert (early.start, early.end, len(early.mails)) == (100, 300, 200)
    assert (whole.start, whole.end, whole.mails[:200]) == (100, 1_000, early.mails)


async def test_a_batch_that_lies_in_the_stream_twice_is_queued_once(memory_bus, clock):
    await plan(memory_bus, recipients(3))
    await produce_all(memory_bus, clock)
    sent = await send_everything(memory_bus)
    clock.advance(10 * streams.DEDUPLICATION_SECONDS)
    await publish_job(memory_bus, BatchJob("autumn", 1, 3, compiled.batch_name("autumn", 1)))
    await produce_all(memory_bus, clock)
    assert len(sent) == 3
    assert await send_everything(memory_bus) == []


async def test_an_outage_longer_than_the_servers_memory_queues_nobody_twice(memory_bus, clock):
    rows = recipients(ROWS)
    await plan(memory_bus, rows)
    forgetful = LosesAnAnswer(memory_bus, clock)
    await produce(forgetful, clock, done(memory_bus))
    sent = forgetful.sent + await send_everything(memory_bus)
    assert sorted(sent) == sorted(row.address for row in rows)


class LosesAnAnswer:
    """Stores the first mails, loses the answer, and is not heard of for an hour; all of them are sent meanwhile."""

    def __init__(self, bus: MemoryBus, clock: FakeClock) -> None:
        self._bus = bus
        self._clock = clock
        self._is_lost = False
        self.sent: list[str] = []

    def __getattr__(self, name: str):
        return getattr(self._bus, name)

    async def publish(self, stream: str, messages: list[Message]):
        stored = await self._bus.publish(stream, messages)
        if stream == "MAIL" and not self._is_lost:
            self._is_lost = True
            self.sent = await send_everything(self._bus)
            self._clock.advance(3_600)
            raise BusUnavailable("the answer was lost")
        return stored


class ForgetsADelivery:
    """A server that was killed: it does not know that it delivered the first batch, and never answers what is said of it."""

    def __init__(self, target, forgotten: set[int]) -> None:
        self._target = target
        self._forgotten = forgotten

    def __getattr__(self, name: str):
        return getattr(self._target, name)

    async def consumer(self, stream: str, name: str):
        return ForgetsADelivery(await self._target.consumer(stream, name), self._forgotten)

    async def ack(self, deliveries) -> None:
        if any(delivery.sequence in self._forgotten and delivery.deliveries == 1 for delivery in deliveries):
            raise BusUnavailable("NATS did not answer within 10 s")
        await self._target.ack(deliveries)


async def test_a_batch_whose_delivery_the_server_forgot_comes_again_and_holds_up_nobody(memory_bus, clock):
    await plan(memory_bus, recipients(3))
    await publish_job(memory_bus, BatchJob("autumn", 2, 3, compiled.batch_name("autumn", 1)))

    async def only_the_first_is_left() -> bool:
        return [r.sequence async for r in memory_bus.read("BATCHES", subjects.BATCHES)] == [1]

    await produce(ForgetsADelivery(memory_bus, {1}), clock, only_the_first_is_left)
    clock.advance(streams.ACK_WAIT_SECONDS + 1)
    await produce_all(memory_bus, clock)
    assert len(await send_everything(memory_bus)) == 3
    assert len(await stated(memory_bus, BatchQueued)) == 2


ROWS_OF_SHORT_BATCH = 11
"""Three chunks of four rows, the last one short."""


async def live(bus: MemoryBus, clock: FakeClock, calls: int) -> bool:
    """A producer works for so many calls to the bus, or to the end. Whether it died."""
    died = False
    try:
        await produce(Mortal(bus, Life(calls)), clock, done(bus))
    except* Killed:
        died = True
    return died


async def deaths(lives: list[tuple[int, float]], *, sending: bool) -> bool:
    """Producers that die after so many calls, so many seconds apart; then one that lives. Whether all of them died."""
    clock = FakeClock()
    bus = MemoryBus(clock)
    await bus.setup()
    rows = recipients(ROWS_OF_SHORT_BATCH, r5="Eve\nBcc: all@example.com")
    await plan(bus, rows)
    sent: list[str] = []
    died = [False]
    for calls, seconds in lives:
        died.append(not await done(bus)() and await live(bus, clock, calls))
        sent += await send_everything(bus) if sending else []
        clock.advance(seconds)
    if not await done(bus)():
        await produce(bus, clock, done(bus))
    sent += await send_everything(bus)
    failed = [fact.recipient for fact in await stated(bus, EmailFailed)]
    assert sorted(sent + failed) == sorted(row.address for row in rows)
    [queued] = await stated(bus, BatchQueued)
    assert (queued.queued, queued.failed) == (ROWS_OF_SHORT_BATCH - 1, 1)
    return all(died[1:])


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr("producer.batch.CHUNK", 4)
    monkeypatch.setattr("producer.batch.PART", 3)


REMEMBERED, FORGOTTEN = 61.0, 3_600.0


@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("sending", [True, False])
@pytest.mark.parametrize("seconds", [REMEMBERED, FORGOTTEN])
async def test_a_producer_killed_before_or_after_any_call_queues_everybody_once(seconds, sending):
    calls = 0
    while await deaths([(calls, seconds)], sending=sending):
        calls += 1
    assert calls > 50


@pytest.mark.usefixtures("short_chunks")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lives=st.lists(st.tuples(st.integers(10, 80), st.sampled_from([REMEMBERED, 100.0, 150.0, FORGOTTEN])), max_size=5),
    sending=st.booleans(),
)
def test_a_series_of_killed_producers_queues_everybody_once(lives, sending):
    asyncio.run(deaths(lives, sending=sending))


async def test_two_producers_with_the_same_batch_in_hand_queue_everybody_once(memory_bus, clock):
    rows = recipients(ROWS)
    await plan(memory_bus, rows)
    await publish_job(memory_bus, BatchJob("autumn", 1, ROWS, compiled.batch_name("autumn", 1)))

    async def queued() -> bool:
        return bool(await stated(memory_bus, BatchQueued))

    await asyncio.gather(*(produce(memory_bus, clock, queued) for _ in range(2)))
    assert sorted(await send_everything(memory_bus)) == sorted(row.address for row in rows)


class BringsSomethingUrgent:
    """A bus on which an urgent batch appears while the first mails of another are being stored."""

    def __init__(self, target: MemoryBus, job: BatchJob) -> None:
        self._target = target
        self._job = job
        self.stored: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._target, name)

    async def publish(self, stream: str, messages: list[Message]) -> object:
        if stream == "MAIL":
            if not self.stored:
                await publish_job(self._target, self._job, "urgent")
            self.stored += [schemas.decode_mail(message.payload).recipient for message in messages]
        return await self._target.publish(stream, messages)


async def test_a_batch_in_work_is_left_for_an_urgent_one_and_gone_on_with_later(memory_bus, clock):
    rows = recipients(10 * CHUNK + 3)
    await plan(memory_bus, rows[:3], 2)
    await memory_bus.purge("BATCHES", subjects.BATCHES)
    await plan(memory_bus, rows[3:])
    bus = BringsSomethingUrgent(memory_bus, BatchJob("autumn", 2, 3, compiled.batch_name("autumn", 2)))
    await produce(bus, clock, done(memory_bus))
    assert bus.stored.index("reader0@gmail.com") < len(rows) / 2
    assert sorted(await send_everything(memory_bus)) == sorted(row.address for row in rows)
    assert len(await stated(memory_bus, BatchQueued)) == 2


class Crowded:
    """A bus whose store is so full that only urgent campaigns may add to it, until it is `emptied`."""

    def __init__(self, target: MemoryBus, share: float) -> None:
        self._target = target
        self.share = share
        self.asked = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._target, name)

    async def storage(self) -> Storage:
        self.asked.set()
        return Storage(used=round(self.share * 1_000), limit=1_000)


async def test_an_urgent_batch_finds_room_where_others_wait_for_it(memory_bus, clock):
    rows = recipients(6)
    await plan(memory_bus, rows[:3], 2)
    await memory_bus.purge("BATCHES", subjects.BATCHES)
    await plan(memory_bus, rows[3:])
    bus = Crowded(memory_bus, 0.87)

    async def the_urgent_one_is_queued() -> bool:
        if bus.asked.is_set() and not await stated(memory_bus, BatchQueued):
            bus.asked.clear()
            await publish_job(memory_bus, BatchJob("autumn", 2, 3, compiled.batch_name("autumn", 2)), "urgent")
        return bool(await stated(memory_bus, BatchQueued))

    await produce(bus, clock, the_urgent_one_is_queued)
    assert sorted(await send_everything(memory_bus)) == [row.address for row in rows[:3]]
