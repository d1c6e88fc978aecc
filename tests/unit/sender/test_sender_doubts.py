"""What is said of a mail whose attempt somebody claimed before."""

import asyncio
import logging

import pytest
from fakes import FakeClock
from sender_world import DICTIONARY, World

from events import dead_letters, facts, ids, schemas, streams, subjects
from events.bus import Delivery
from events.compression import Decompressor
from events.errors import BusUnavailable
from events.facts import EmailAccepted, EmailInDoubt, EmailRequeued
from events.memory_bus import MemoryBus
from events.schemas import Mail
from sender import outcomes
from sender.claims import Taken
from sender.doubts import Doubts
from sender.lanes import Held, Lane
from sender.retry import Rules
from sender.settings import RetryPolicy

RULES = Rules(RetryPolicy(), "at_most_once", None)
AGAIN = RULES._replace(in_doubt="at_least_once")
OLD, YOUNG = Taken(0), Taken(None)


class Scene:
    def __init__(self, world):
        self.world = world
        self.doubts = Doubts(world.bus, world.clock, lambda: 0.5)
        self.lane = Lane(world.campaign, "gmail", None, Decompressor(DICTIONARY))

    def held(self, attempt=1):
        mail = Mail("m", "a@example.org", attempt, self.world.clock(), b"")
        return Held(self.lane, Delivery(b"", "", 1, 2, ""), mail, self.world.clock())

    async def said_before(self, kind, *, attempt=1, **fields):
        fact = kind("spring", self.world.clock(), "m", attempt, "a@example.org", "main", "gmail", **fields)
        await self.world.bus.publish("EVENTS", [outcomes.fact_message(fact)])

    async def state(self, claim, rules=RULES, attempt=1):
        await self.doubts.state([(self.held(attempt), claim)], rules)
        return [facts.type_of(fact) for fact in await self.world.facts()]

    async def retries(self):
        return [r async for r in self.world.bus.read("MAIL", subjects.MAIL_WAITING)]


@pytest.fixture
async def scene(clock):
    return Scene(await World(clock).set_up())


@pytest.mark.parametrize("claim", [OLD, YOUNG])
async def test_what_nobody_knows_is_in_doubt_and_kept(scene, claim):
    assert await scene.state(claim) == ["in_doubt"]
    (letter,) = [dead_letters.decode(r.payload) async for r in scene.world.bus.read("DLQ", subjects.DLQ)]
    assert letter.failure_class == "in_doubt"
    assert not await scene.retries()


@pytest.mark.parametrize(("claim", "passed"), [(YOUNG, 60), (OLD, 600)])
async def test_what_is_known_is_not_doubted(scene, claim, passed):
    await scene.said_before(EmailAccepted, latency_seconds=1.0)
    scene.world.clock.advance(passed)
    assert await scene.state(claim, AGAIN) == ["accepted"]
    assert not await scene.retries()
    assert (await scene.world.bus.stream_state("DLQ")).messages == 0


@pytest.mark.parametrize(("claim", "passed"), [(YOUNG, 60), (OLD, 600)])
async def test_a_doubt_that_was_stated_before_its_retry_gets_the_retry(scene, claim, passed):
    await scene.said_before(EmailInDoubt)
    scene.world.clock.advance(passed)
    assert await scene.state(claim, AGAIN) == ["in_doubt"]
    (record,) = await scene.retries()
    assert record.id == ids.attempt_id("m", 2)
    assert schemas.decode_mail(record.payload).history[-1].failure_class == "in_doubt"


async def test_a_mail_whose_next_try_has_been_told_of_is_known(scene):
    await scene.said_before(EmailInDoubt, attempt=2)
    scene.world.clock.advance(600)
    assert await scene.state(OLD, AGAIN) == ["in_doubt"]
    assert not await scene.retries()


async def test_having_been_put_back_for_this_try_is_no_outcome_of_it(scene):
    await scene.said_before(EmailRequeued, attempt=2)
    scene.world.clock.advance(600)
    assert await scene.state(OLD, attempt=2) == ["requeued", "in_doubt"]


async def test_having_been_put_back_for_the_next_try_settles_this_one(scene):
    await scene.said_before(EmailRequeued, attempt=2)
    scene.world.clock.advance(600)
    assert await scene.state(OLD) == ["requeued"]


async def test_an_earlier_try_says_nothing_of_this_one(scene):
    await scene.said_before(EmailAccepted, latency_seconds=1.0)
    scene.world.clock.advance(streams.DEDUPLICATION_SECONDS + 1)
    assert await scene.state(OLD, attempt=2) == ["accepted", "in_doubt"]


class Leaderless(MemoryBus):
    """A bus on which dead letters cannot be stored the first time."""

    refused = 0

    async def publish(self, stream, messages):
        if stream == streams.DLQ.name and not self.refused:
            self.refused += 1
            raise BusUnavailable("the test took its leader away")
        return await super().publish(stream, messages)


async def test_a_doubt_that_cannot_be_stated_yet_is_stated_later_and_no_error_of_ours(caplog):
    world = World(FakeClock())
    world.bus = Leaderless(world.clock)
    await world.set_up()
    world.relay.gate = asyncio.Event()
    await world.queue("mail00")
    first = await world.start()
    await world.until(lambda: world.relay.took["mail00"])
    await world.kill(first)
    await world.pass_time(80)
    await world.start()
    await world.until_settled()
    assert world.bus.refused
    assert await world.stories() == {"mail00": ["in_doubt"]}
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    await world.stop()
