"""Decisions are written down in an order in which a death loses nothing, and waited for as long as it takes."""

import asyncio
from collections import Counter

import pytest
from msgspec.structs import replace
from sender_world import Process, World, refused

from events import facts, ids
from events.errors import BusUnavailable, StreamFull
from events.facts import EmailAccepted, EmailInDoubt
from events.metrics import DELIVERY_LATENCY_SECONDS, EMAILS_NOT_SENT, EMAILS_SENT
from sender import outcomes
from sender.drivers.base import Reply


@pytest.fixture
async def world(clock):
    world = World(clock)
    await world.set_up()
    yield world
    await world.stop()


def spy_on(bus):
    """What is published where, and acknowledged, in order."""
    seen, publish = [], bus.publish

    async def spy(stream, messages):
        seen.extend((stream, message.id) for message in messages)
        return await publish(stream, messages)

    bus.publish = spy
    return seen


async def test_the_retry_is_stored_before_the_fact(world):
    world.relay.script["mail00"] = [refused("soft")]
    await world.queue("mail00")
    seen = spy_on(world.bus)
    await world.start()
    await world.until_settled(due_only=True)
    assert [s for s in seen if s[0] in {"MAIL", "EVENTS"}] == [("MAIL", "mail00/2"), ("EVENTS", "mail00/1/outcome")]


async def test_the_dead_letter_is_stored_before_the_fact(world):
    world.relay.script["mail00"] = [refused("block")]
    await world.queue("mail00")
    seen = spy_on(world.bus)
    await world.start()
    await world.until_settled()
    assert [s for s in seen if s[0] in {"DLQ", "EVENTS"}] == [("DLQ", "mail00/1/dead"), ("EVENTS", "mail00/1/outcome")]


async def test_an_acceptance_that_comes_after_a_stated_doubt_resolves_it(world):
    world.relay.gate = asyncio.Event()
    await world.queue("mail00")
    frozen = Process()
    await world.start(frozen)
    await world.until(lambda: world.relay.batches)
    frozen.freezes = True
    frozen.stopped.set()
    world.clock.advance(70)
    await world.start()
    await world.until_settled()
    frozen.thaw()
    world.relay.gate.set()
    await world.until(lambda: says(world, ["in_doubt", "accepted"]))
    assert world.relay.took["mail00"] == 1


async def says(world, words):
    return [facts.type_of(fact) for fact in await world.facts()] == words


async def test_facts_are_stated_once_though_the_server_forgot_a_publish_that_was_never_answered(world):
    publish, lost = world.bus.publish, []

    async def lose_the_first_answer(stream, messages):
        stored = await publish(stream, messages)
        if stream == "EVENTS" and not lost:
            lost.append(messages)
            world.clock.advance(400)
            raise BusUnavailable("no answer")
        return stored

    world.bus.publish = lose_the_first_answer
    await world.queue("mail00", "mail01")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["accepted"], "mail01": ["accepted"]}
    assert len(await world.facts()) == 2


@pytest.mark.parametrize("times", [1, 3])
async def test_calls_that_store_some_of_their_messages_and_refuse_the_rest_are_made_good(world, times):
    publish, failures = world.bus.publish, Counter()

    async def store_every_other(stream, messages):
        if failures[stream] < times and stream != "ADVISORIES":
            failures[stream] += 1
            await publish(stream, messages[failures[stream] % 2 :: 2])
            raise StreamFull("there was room for some")
        return await publish(stream, messages)

    mails = [f"mail{n:02}" for n in range(12)]
    world.relay.script |= {"mail01": [refused("soft")], "mail02": [refused("block")], "mail03": [refused("hard")]}
    await world.queue(*mails, provider="gmail")
    world.bus.publish = store_every_other
    await world.start()
    await world.until_settled()
    special = {"mail01": ["deferred", "accepted"], "mail02": ["failed"], "mail03": ["bounced"]}
    assert await world.stories() == {mail: special.get(mail, ["accepted"]) for mail in mails}
    assert max(world.relay.took.values()) == 1
    assert (await world.bus.stream_state("DLQ")).messages == 1
    assert {"CLAIMS", "JOURNAL", "MAIL", "DLQ", "EVENTS"} == set(failures)


async def test_a_retry_is_queued_once_though_it_was_tried_before_the_server_answered_and_forgot_it(world):
    """A store that takes one message of several and refuses the others for minutes looks the same."""
    publish, lost = world.bus.publish, []

    async def lose_the_first_answer(stream, messages):
        stored = await publish(stream, messages)
        if stream == "MAIL" and not lost:
            lost.append(messages)
            await world.until(lambda: retried_and_forgotten(world))
            raise BusUnavailable("no answer")
        return stored

    world.relay.script["mail00"] = [refused("transient")]
    await world.queue("mail00")
    world.bus.publish = lose_the_first_answer
    worker = await world.start()
    await world.until(lambda: lost)
    await world.start()
    await world.until(lambda: not worker._recorder._unfinished)
    await world.until_settled()
    assert world.relay.took["mail00"] == 1


async def test_a_retry_that_was_never_stored_is_queued_however_long_that_takes(world):
    publish, failed = world.bus.publish, []

    async def fail_once(stream, messages):
        if stream == "MAIL" and not failed:
            failed.append(messages)
            world.clock.advance(400)
            raise BusUnavailable("no connection")
        return await publish(stream, messages)

    world.relay.script["mail00"] = [refused("transient")]
    await world.queue("mail00")
    world.bus.publish = fail_once
    await world.start()
    await world.until(lambda: failed)
    await world.until_settled()
    assert world.relay.took["mail00"] == 1
    assert (await world.stories())["mail00"] == ["deferred", "accepted"]


async def retried_and_forgotten(world):
    """The retry fires, another process sends it, and then ids are forgotten."""
    await world.pass_time(20)
    if world.relay.took["mail00"]:
        await world.pass_time(400)
        return True
    return False


async def test_sessions_claim_no_more_while_as_many_mails_as_they_can_carry_are_unstated(world):
    await world.queue(*[f"mail{n:02}" for n in range(40)])
    publish = world.bus.publish

    async def hold_back_facts(stream, messages):
        if stream == "EVENTS":
            await asyncio.Event().wait()
        return await publish(stream, messages)

    world.bus.publish = hold_back_facts
    worker = await world.start()
    await world.until(lambda: worker._lines["main"].budget.free < 3)
    await world.until(lambda: what_is_claimed_is_taken(world))
    await asyncio.sleep(0.02)
    assert world.relay.took.total() <= 2 * 3
    assert await what_is_claimed_is_taken(world)


async def what_is_claimed_is_taken(world):
    return (await world.bus.stream_state("CLAIMS")).messages == world.relay.took.total() > 0


async def test_a_failure_nobody_foresaw_lets_the_mails_go_and_recording_goes_on(world):
    publish, failed = world.bus.publish, []

    async def fail_once(stream, messages):
        if stream == "EVENTS" and not failed:
            failed.append(messages)
            raise ZeroDivisionError
        return await publish(stream, messages)

    world.bus.publish = fail_once
    await world.queue("mail00")
    worker = await world.start()
    await world.until(lambda: failed)
    await world.until_settled()
    assert await world.stories() == {"mail00": ["in_doubt"]}
    assert not any(lane.unsettled for lane in worker._intake.open)


async def test_metrics_follow_what_was_stated(world):
    sent, latency = EMAILS_SENT.labels("main", "gmail"), DELIVERY_LATENCY_SECONDS.labels("main", "gmail")
    bounced = EMAILS_NOT_SENT.labels("main", "microsoft", "bounced", "hard")
    before = (sent._value.get(), latency._sum.get(), bounced._value.get())
    world.relay.script["mail01"] = [refused("hard")]
    await world.queue("mail00", "mail01")
    world.clock.advance(3)
    await world.start()
    await world.until_settled()
    after = (sent._value.get(), latency._sum.get(), bounced._value.get())
    assert [round(b - a) for a, b in zip(before, after, strict=True)] == [1, 3, 1]


async def test_late_evidence_has_an_id_of_its_own(world):
    fact = EmailAccepted("c", 1.0, "m", 2, "a@example.org", "main", "gmail", 0.5)
    assert outcomes.fact_message(fact).id == ids.outcome_id("m", 2)
    late = outcomes.late_message(fact)
    assert late.id == "m/2/outcome/late"
    assert facts.decode(late.payload) == replace(fact, late=True)


async def test_doubts_of_an_accepted_mail_whose_ack_was_lost_are_not_stated(world):
    process = Process()
    await world.queue("mail00")
    worker = await world.start(process)
    await world.until(world.facts)
    await world.kill(worker)
    world.clock.advance(1_000)
    await world.start()
    await world.until_settled()
    assert not [fact for fact in await world.facts() if isinstance(fact, EmailInDoubt)]


async def test_under_at_least_once_a_lapsed_hold_leaves_the_retry_to_whoever_has_the_mail(world):
    await world.set_campaign(policy="at_least_once")
    world.relay.script["mail00"] = [refused("soft")]
    world.relay.gate = asyncio.Event()
    await world.queue("mail00")
    await world.start()
    await world.until(lambda: world.relay.batches)
    world.clock.advance(70)
    world.relay.gate.set()
    await world.until_settled()
    assert (await world.stories())["mail00"] == ["in_doubt", "accepted"]


def test_a_reply_of_pages_is_cut():
    assert len(outcomes._text(Reply(550, "", "x" * 10_000))) == outcomes.REPLY_CHARACTERS
