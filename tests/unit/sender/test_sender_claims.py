"""Who may make an attempt, and what is believed when the server has forgotten."""

import asyncio

import pytest
from sender_world import DICTIONARY, World

from events import ids, streams, subjects
from events.bus import Delivery, Message
from events.compression import Decompressor
from events.errors import BusUnavailable
from events.schemas import Mail
from sender.claims import Claims, Taken, Won
from sender.journal import Journal
from sender.lanes import Held, Lane
from sender.patience import Patience


class Worker:
    """Claims on the world's bus, as a process of its own."""

    def __init__(self, world):
        self.world = world
        consumer = None
        self.lane = Lane(world.campaign, "gmail", consumer, Decompressor(DICTIONARY))
        self.claims = Claims(world.bus, Journal(world.bus), world.clock, Patience("claim", 0.001))

    def held(self, mail_id, *, deliveries=1, attempt=1, age=0.0, sequence=1):
        mail = Mail(mail_id, "a@example.org", attempt, self.world.clock() - age, b"")
        return Held(self.lane, Delivery(b"", "", sequence, deliveries, ""), mail, self.world.clock())

    async def claim(self, *mail_ids, **fields):
        return await self.claims.claim([self.held(mail_id, **fields) for mail_id in mail_ids])


@pytest.fixture
async def world(clock):
    return await World(clock).set_up()


async def test_the_first_claim_wins_and_the_second_finds_it_taken(world):
    assert await Worker(world).claim("a") == [Won()]
    assert await Worker(world).claim("a", deliveries=2) == [Taken(None)]


async def test_another_attempt_of_the_same_mail_is_another_claim(world):
    worker = Worker(world)
    assert await worker.claim("a") == [Won()]
    assert await worker.claim("a", attempt=2) == [Won()]


async def test_two_copies_of_one_attempt_in_one_round_have_one_winner(world):
    claims = await Worker(world).claim("a", "a")
    assert sorted(map(type, claims), key=str) == [Taken, Won]


async def test_claims_of_many_sessions_share_a_publish(world):
    worker = Worker(world)
    await asyncio.gather(*(worker.claim(f"{n}a", f"{n}b") for n in range(10)))
    assert (await world.bus.stream_state("CLAIMS")).messages == 20
    assert (await world.bus.stream_state("JOURNAL")).messages == 1


async def test_a_claim_whose_answer_was_lost_is_recognised_as_ours(world):
    worker = Worker(world)
    publish = world.bus.publish

    async def lose_the_first_answer(stream, messages):
        stored = await publish(stream, messages)
        if stream == "CLAIMS" and not any(answer.duplicate for answer in stored):
            raise BusUnavailable("no answer")
        return stored

    world.bus.publish = lose_the_first_answer
    assert await worker.claim("a", "b") == [Won(), Won()]


async def test_claiming_waits_while_nats_is_away(world):
    worker = Worker(world)
    world.bus.unavailable = True
    claiming = asyncio.create_task(worker.claim("a"))
    await asyncio.sleep(0.02)
    assert not claiming.done()
    world.bus.unavailable = False
    assert await claiming == [Won()]


async def test_a_forgotten_claim_is_found_in_the_journal(world):
    await Worker(world).claim("a")
    world.clock.advance(streams.DEDUPLICATION_SECONDS + 1)
    later = Worker(world)
    assert await later.claim("a", "b", deliveries=2, age=600.0) == [Taken(0), Won()]


@pytest.mark.parametrize("was_running", [True, False])
async def test_a_killed_server_that_takes_a_second_delivery_for_the_first_deceives_nobody(world, was_running):
    later = Worker(world)
    if was_running:
        await later.claim("before")
    await Worker(world).claim("a")
    world.clock.advance(streams.DEDUPLICATION_SECONDS + 1)
    world.bus.interruptions += 1
    assert await later.claim("a", "b", age=600.0) == [Taken(0), Won()]


async def test_a_server_that_is_killed_while_a_claim_is_under_way_deceives_nobody(world):
    later = Worker(world)
    await later.claim("before")
    await Worker(world).claim("a")
    world.clock.advance(streams.DEDUPLICATION_SECONDS + 1)
    world.bus.unavailable = True
    claiming = asyncio.create_task(later.claim("a", "b", age=600.0))
    await asyncio.sleep(0.01)
    world.bus.interruptions += 1
    world.bus.unavailable = False
    assert await claiming == [Taken(0), Won()]


async def test_a_claim_that_is_about_to_be_forgotten_is_looked_up_too(world):
    first = Worker(world)
    first.claims.events_seen = 77
    await first.claim("a")
    world.clock.advance(streams.DEDUPLICATION_SECONDS - 1)
    assert await Worker(world).claim("a", deliveries=2, age=600.0) == [Taken(77)]


async def test_a_mail_delivered_for_the_first_time_needs_no_proof(world):
    worker = Worker(world)
    await worker.claim("the first claim of a process looks up the newest ones")
    reads = []
    read = world.bus.read
    world.bus.read = lambda stream, *args, **kwargs: reads.append(stream) or read(stream, *args, **kwargs)
    assert await worker.claim("a", age=1e6) == [Won()]
    assert reads == []


async def test_a_young_mail_needs_no_proof_however_often_it_came(world):
    worker = Worker(world)
    await worker.claim("the first claim of a process looks up the newest ones")
    reads = []
    read = world.bus.read
    world.bus.read = lambda stream, *args, **kwargs: reads.append(stream) or read(stream, *args, **kwargs)
    assert await worker.claim("a", deliveries=4, age=100.0) == [Won()]
    assert reads == []


async def test_a_mail_older_than_the_journal_is_never_believed_new(world):
    assert await Worker(world).claim("a", deliveries=2, age=streams.JOURNAL.max_age_seconds + 1) == [Taken(0)]


async def test_a_duplicate_without_a_trace_is_taken(world):
    await world.bus.publish("CLAIMS", [Message(subjects.CLAIMS, b"", ids.attempt_id("a", 1))])
    await world.bus.purge("CLAIMS", subjects.CLAIMS)
    assert await Worker(world).claim("a", deliveries=2) == [Taken(0)]


async def test_a_forgotten_claim_in_another_round_of_the_same_process_is_not_ours(world):
    worker = Worker(world)
    await worker.claim("a")
    world.clock.advance(streams.DEDUPLICATION_SECONDS + 1)
    assert await worker.claim("a", deliveries=2, age=600.0) == [Taken(0)]
