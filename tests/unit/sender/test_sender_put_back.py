"""Operators put mails back, hurry and cancel retries, and die at every step of it; others do the same at the same time.

Each test lets an operator die at the n-th call to the bus, before it takes effect or after it and before the answer. Then a
sender works for a while, everything that the server remembers is forgotten, and the operator tries again.
"""

import asyncio
from collections import Counter

import pytest
from fakes import FakeClock
from sender_world import Process, Wire, World, refused

from events import campaigns, dead_letters, doubts, facts, requeue, retries, schemas, states, streams, subjects
from events.campaigns import WrongStatus
from events.requeue import Pace, Settled
from sender.drivers.base import Unknown

BLOCKED = [f"blocked{n}" for n in range(3)]
DEATHS = range(1, 16)
"""More calls than an operation makes for these mails; the last deaths never come."""
EITHER_SIDE = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


async def given_up(**campaign):
    """A finished campaign: some mails were refused for good, one is in doubt, one was accepted."""
    world = await World(FakeClock(), **campaign).set_up()
    for mail in BLOCKED:
        world.relay.script[mail] = [refused("block")]
    world.relay.script["doubtful"] = [Unknown("lost")]
    await world.queue(*BLOCKED, "doubtful", "plain", provider="gmail")
    await work(world)
    await finish(world)
    return world


async def work(world):
    """A sender does what there is to do, and stops."""
    worker = await world.start()
    await worker.starting
    await world.until_settled(due_only=True)
    await worker.stop()


async def finish(world):
    """What the closing of a campaign does."""
    await campaigns.change(world.bus, "spring", lambda newest: campaigns.finish(newest, world.clock()))
    for lane in streams.lanes("spring", "main"):
        await world.bus.delete_consumer("MAIL", lane.name)


async def letters(bus, failure_class="block"):
    return [letter async for letter in dead_letters.read(bus, subjects.dlq_where("spring", "*", failure_class))]


async def replay(world, bus=None):
    bus = bus or world.bus
    return await requeue.put_back(bus, "spring", await letters(bus), Pace(world.clock))


async def dying(world, at, after, operation):
    """The operation by somebody who dies at a call; returns when he is dead, or done."""
    process = Process(at, after=after)
    task = asyncio.create_task(operation(Wire(process, world.bus)))
    dead = asyncio.create_task(process.stopped.wait())
    await asyncio.wait([task, dead], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    dead.cancel()
    await asyncio.wait([task, dead])


async def state_of(world):
    told = states.standing([fact for fact in await world.facts() if isinstance(fact, facts.MAIL_FACTS)])
    return {mail: states.state_of(fact) for mail, fact in told.items()}


async def check_replayed(world):
    assert {mail: world.relay.took[mail] for mail in BLOCKED} == dict.fromkeys(BLOCKED, 1)
    found = await state_of(world)
    assert Counter(found.values()) == {"accepted": 4, "in_doubt": 1}
    assert await letters(world.bus) == []
    assert await world.left() == 0
    attempts = [fact.attempt for fact in await world.facts() if isinstance(fact, facts.EmailAccepted)]
    assert sorted(attempts) == [1, 2, 2, 2]


async def test_a_replayed_mail_is_tried_again_with_a_fresh_allowance_and_keeps_its_history():
    world = await given_up()
    assert await replay(world) == Settled(3, 0)
    (campaign,) = await campaigns.all_of(world.bus)
    assert (campaign.status, campaign.finished_at, campaign.reopened) == ("running", None, 1)
    assert (await state_of(world))["blocked0"] == "requeued"
    mails = [schemas.decode_mail(record.payload) async for record in world.bus.read("MAIL", subjects.MAIL_DUE)]
    assert [(mail.attempt, mail.charged, len(mail.history)) for mail in mails] == [(2, 0, 1)] * 3
    await work(world)
    await check_replayed(world)


@EITHER_SIDE
@pytest.mark.parametrize("at", DEATHS)
async def test_a_replay_that_dies_anywhere_is_completed_by_the_next(at, after):
    world = await given_up()
    await dying(world, at, after, lambda bus: replay(world, bus))
    assert (await world.left()) + len(await letters(world.bus)) >= len(BLOCKED), "a mail is nowhere"
    await work(world)
    world.clock.advance(700)
    await replay(world)
    await work(world)
    await check_replayed(world)


@EITHER_SIDE
@pytest.mark.parametrize("at", DEATHS)
async def test_many_who_replay_the_same_at_once_send_nothing_twice_even_when_one_dies(at, after):
    world = await given_up()
    others = [asyncio.create_task(replay(world)) for _ in range(3)]
    await dying(world, at, after, lambda bus: replay(world, bus))
    await asyncio.wait(others)
    await replay(world)
    await work(world)
    await check_replayed(world)


@pytest.mark.parametrize("at", DEATHS)
async def test_an_operator_who_was_frozen_and_goes_on_sends_nothing_twice(at):
    world = await given_up()
    process = Process(at, freezes=True)
    frozen = asyncio.create_task(replay(world, Wire(process, world.bus)))
    stopped = asyncio.create_task(process.stopped.wait())
    await asyncio.wait([frozen, stopped], return_when=asyncio.FIRST_COMPLETED)
    await replay(world)
    await work(world)
    world.clock.advance(700)
    process.thaw()
    await frozen
    stopped.cancel()
    await replay(world)
    await work(world)
    await check_replayed(world)


async def test_mails_come_back_at_the_rate_that_was_asked_for():
    world = await given_up()
    await requeue.put_back(world.bus, "spring", await letters(world.bus), Pace(world.clock, per_second=0.5))
    due = sorted([one.due_at - world.clock() async for one in retries.read(world.bus)])
    assert due == pytest.approx([2, 4]), "the first is due at once"


async def test_nothing_of_a_cancelled_campaign_or_past_its_deadline_is_put_back():
    world = await given_up(deadline=FakeClock()() + 1_000)
    world.clock.advance(1_001)
    with pytest.raises(WrongStatus, match="deadline"):
        await replay(world)
    await campaigns.change(
        world.bus,
        "spring",
        lambda campaign: type(campaign)(
            **{name: getattr(campaign, name) for name in campaign.__struct_fields__} | {"status": "cancelled"}
        ),
    )
    with pytest.raises(WrongStatus, match="cancelled"):
        await replay(world)
    assert len(await letters(world.bus)) == 3


async def test_a_resent_doubt_states_the_risk_and_balances():
    world = await given_up()
    (doubt,) = await doubts.find(world.bus, "spring")
    await requeue.put_back(world.bus, "spring", doubt.letters, Pace(world.clock), certainly_not_sent=False)
    (requeued,) = [fact for fact in await world.facts() if isinstance(fact, facts.EmailRequeued)]
    assert (requeued.mail_id, requeued.attempt, requeued.may_repeat) == ("doubtful", 2, True)
    await work(world)
    assert (await state_of(world))["doubtful"] == "accepted"
    assert await doubts.find(world.bus, "spring") == []


async def test_a_doubt_that_was_accepted_leaves_the_dlq():
    world = await given_up()
    found = await doubts.find(world.bus, "spring")
    for _ in range(2):
        await doubts.resolve(world.bus, found, "accepted", by="test", note="", at=world.clock())
    assert (await state_of(world))["doubtful"] == "accepted"
    assert await doubts.find(world.bus, "spring") == []
    assert await letters(world.bus, "in_doubt") == []


async def test_a_doubt_that_was_not_sent_is_given_up_and_can_be_replayed_without_risk():
    world = await given_up()
    found = await doubts.find(world.bus, "spring")
    await doubts.resolve(world.bus, found, "not_sent", by="test", note="", at=world.clock())
    assert (await state_of(world))["doubtful"] == "failed"
    await requeue.put_back(world.bus, "spring", await letters(world.bus, "in_doubt"), Pace(world.clock))
    (requeued,) = [fact for fact in await world.facts() if isinstance(fact, facts.EmailRequeued)]
    assert not requeued.may_repeat


async def test_a_doubt_whose_next_try_waits_is_resolved_and_not_tried_again():
    world = await World(FakeClock(), policy="at_least_once").set_up()
    world.relay.script["doubtful"] = [Unknown("taken")]
    await world.queue("doubtful")
    await work(world)
    (doubt,) = await doubts.find(world.bus, "spring")
    assert doubt.waiting
    assert not doubt.letters
    assert await doubts.resolve(world.bus, [doubt], "accepted", by="test", note="", at=world.clock()) == [doubt]
    assert (await state_of(world), await world.left()) == ({"doubtful": "accepted"}, 0)


async def test_a_doubt_that_is_being_tried_again_is_left_alone():
    world = await World(FakeClock(), policy="at_least_once").set_up()
    world.relay.script["doubtful"] = [Unknown("lost")]
    await world.queue("doubtful")
    await work(world)
    found = await doubts.find(world.bus, "spring")
    await world.pass_time(200)
    assert await doubts.resolve(world.bus, found, "accepted", by="test", note="", at=world.clock()) == []
    await work(world)
    assert await state_of(world) == {"doubtful": "accepted"}


async def deferred():
    world = await World(FakeClock()).set_up()
    for mail in BLOCKED:
        world.relay.script[mail] = [refused("soft")]
    await world.queue(*BLOCKED, provider="gmail")
    await work(world)
    return world


async def waiting(bus):
    return [one async for one in retries.read(bus, subjects.mail_waiting_where("spring", failure_class="soft"))]


async def test_hurried_retries_are_due_at_once_and_sent_once():
    world = await deferred()
    found = await waiting(world.bus)
    assert [await retries.hurry(world.bus, found, world.clock()) for _ in range(2)] == [3, 0]
    world.clock.advance(1)
    await work(world)
    assert world.relay.took == dict.fromkeys(BLOCKED, 1)
    assert await world.left() == 0


@EITHER_SIDE
@pytest.mark.parametrize("at", range(1, 8))
async def test_hurrying_that_dies_anywhere_loses_and_doubles_nothing(at, after):
    world = await deferred()
    found = await waiting(world.bus)
    await dying(world, at, after, lambda bus: retries.hurry(bus, found, world.clock()))
    world.clock.advance(1)
    await retries.hurry(world.bus, await waiting(world.bus), world.clock())
    await world.pass_time(200)
    await retries.hurry(world.bus, found, world.clock())
    await work(world)
    assert world.relay.took == dict.fromkeys(BLOCKED, 1)
    assert await world.left() == 0


@EITHER_SIDE
@pytest.mark.parametrize("at", range(1, 8))
async def test_a_cancellation_that_dies_anywhere_is_completed_by_the_next(at, after):
    world = await deferred()
    found = await waiting(world.bus)
    await dying(world, at, after, lambda bus: retries.cancel(bus, found, world.clock()))
    assert await world.left() + len(await letters(world.bus, "soft")) >= len(BLOCKED)
    world.clock.advance(60)
    await retries.cancel(world.bus, await waiting(world.bus), world.clock())
    await world.pass_time(400)
    await work(world)
    assert not world.relay.took
    assert set((await state_of(world)).values()) == {"failed"}
    assert {letter.letter.reason for letter in await letters(world.bus, "soft")} == {"retry_cancelled"}
    assert {letter.letter.mail.mail_id for letter in await letters(world.bus, "soft")} == set(BLOCKED)
    assert await world.left() == 0


async def test_what_became_due_meanwhile_is_neither_cancelled_nor_hurried():
    world = await deferred()
    found = await waiting(world.bus)
    await world.pass_time(200)
    assert await retries.cancel(world.bus, found, world.clock()) == 0
    assert await retries.hurry(world.bus, found, world.clock()) == 0
    await work(world)
    assert world.relay.took == dict.fromkeys(BLOCKED, 1)


async def test_cancelling_the_next_try_of_a_doubt_leaves_it_in_doubt():
    world = await World(FakeClock(), policy="at_least_once").set_up()
    world.relay.script["doubtful"] = [Unknown("lost")]
    await world.queue("doubtful")
    await work(world)
    found = [one async for one in retries.read(world.bus)]
    assert await retries.cancel(world.bus, found, world.clock()) == 1
    assert await state_of(world) == {"doubtful": "in_doubt"}
    assert len(await letters(world.bus, "in_doubt")) == 1
