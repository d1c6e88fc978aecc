"""Mails that kill every worker end in the DLQ, and are never lost or sent on the way."""

from collections import Counter

import pytest
from fakes import FakeClock
from sender_world import Process, World

from events import dead_letters, facts, subjects
from sender.drivers.base import Unknown


async def deadly(world, mail):
    """A worker takes the mail and is killed before it has claimed it; again and again, as often as it is delivered."""
    lane = await world.bus.consumer("MAIL", "spring--main--gmail")
    for _ in range(5):
        (delivery,) = await lane.fetch(1, 1)
        await world.pass_time(80)
    assert await lane.fetch(1, 0.02) == []
    assert delivery.deliveries == 5


async def buried(world, process=None):
    worker = await world.start(process)
    await world.until(lambda: nothing_left(world), seconds=5)
    await worker.stop()


async def nothing_left(world):
    return await world.left() == 0 and (await world.bus.stream_state("ADVISORIES")).messages == 0


async def dead_or_done(world, process):
    return process.stopped.is_set() or await nothing_left(world)


async def letters(world):
    return [letter.letter async for letter in dead_letters.read(world.bus, subjects.DLQ)]


async def test_a_mail_that_nobody_survived_and_nobody_claimed_is_given_up():
    world = await World(FakeClock()).set_up()
    await world.queue("poison", provider="gmail")
    await deadly(world, "poison")
    await buried(world)
    assert await world.stories() == {"poison": ["failed"]}
    (letter,) = await letters(world)
    assert (letter.failure_class, letter.mail.mail_id, letter.reply) == (
        *("poison", "poison"),
        "delivered 5 times without an outcome",
    )
    assert not world.relay.took


async def test_a_mail_that_kills_its_worker_after_the_claim_is_in_doubt_at_its_second_delivery():
    world = await World(FakeClock()).set_up()
    world.relay.script["poison"] = [Unknown("taken")]
    await world.queue("poison", provider="gmail")
    first = await world.start(Process(at=3))  # claims and journal are stored; it dies at the relay
    await world.until(first.process.stopped.is_set)
    await world.kill(first)
    await world.pass_time(80)
    await buried(world)
    assert await world.stories() == {"poison": ["in_doubt"]}
    assert [letter.failure_class for letter in await letters(world)] == ["in_doubt"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
async def test_a_death_while_burying_loses_nothing_and_states_one_outcome(at, after):
    world = await World(FakeClock()).set_up()
    await world.queue("poison", provider="gmail")
    await deadly(world, "poison")
    first = await world.start(Process(at, after=after))
    await world.until(lambda: dead_or_done(world, first.process))
    await world.kill(first)
    await world.pass_time(400)
    await buried(world)
    told = Counter(facts.type_of(fact) for fact in await world.facts())
    assert told in ({"failed": 1}, {"in_doubt": 1})
    assert {letter.mail.mail_id for letter in await letters(world)} == {"poison"}
    assert not world.relay.took


async def test_a_mail_that_came_again_to_a_sender_that_lived_on_is_no_poison():
    """The sender was too slow to extend its hold, as where it gets no CPU for long."""
    world = await World(FakeClock()).set_up()
    world.relay.down = True  # so that the sender holds the mail all the time
    await world.queue("mail", provider="gmail")
    worker = await world.start()
    await world.until(lambda: told_of_after_a_while(world))
    assert await letters(world) == []
    world.relay.down = False
    await world.until_settled()
    await worker.stop()
    assert await world.stories() == {"mail": ["deferred", "accepted"]}


async def told_of_after_a_while(world):
    """Its hold lapses, again and again."""
    await world.pass_time(80)
    return await world.facts()
