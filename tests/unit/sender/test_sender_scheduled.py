"""What the streams say of a retry whose id the server has forgotten."""

import pytest
from sender_world import DICTIONARY, World

from events import schemas, subjects
from events.bus import Message
from events.compression import Decompressor
from events.facts import EmailAccepted, EmailDeferred, EmailRequeued
from sender import outcomes, scheduled
from sender.drivers.base import Reply
from sender.lanes import Lane
from sender.retry import RetryAt


@pytest.fixture
async def world(clock):
    return await World(clock).set_up(2)


@pytest.fixture
async def record(world):
    """The first of two mails is to be tried again in a minute."""
    consumer = await world.bus.consumer("MAIL", "spring--main--gmail")
    lane = Lane(world.campaign, "gmail", consumer, Decompressor(DICTIONARY))
    lane.receive(await consumer.fetch(1, 1), world.clock())
    (held,) = lane.take(1, world.clock())
    now = world.clock()
    return outcomes.to_record(RetryAt(now + 60, "transient", 1, Reply(451, "", "later")), held, now)


def fact(record, kind, attempt, *more):
    return kind("spring", 0.0, record.held.mail.mail_id, attempt, "a@example.org", "main", "gmail", *more)


def deferred(record):
    return fact(record, EmailDeferred, 1, "transient", 451, "", "later", 60.0)


async def state(world, *facts):
    await world.bus.publish("EVENTS", [outcomes.fact_message(one) for one in facts])


async def test_one_that_waits_for_its_time_is_known(world, record):
    await world.bus.publish("MAIL", [record.retry])
    assert await scheduled.already(world.bus, [record], 0) == {record.retry.id}


async def test_one_that_is_due_is_known(world, record):
    await world.bus.publish("MAIL", [record.retry])
    world.clock.advance(61)
    assert await scheduled.already(world.bus, [record], 0) == {record.retry.id}


@pytest.mark.parametrize("more", [(EmailAccepted, 2, 0.5), (EmailRequeued, 2)])
async def test_one_that_was_tried_or_put_back_by_a_person_is_known(world, record, more):
    await state(world, deferred(record), fact(record, *more))
    assert await scheduled.already(world.bus, [record], 0) == {record.retry.id}


async def test_one_that_was_never_queued_is_not_known(world, record):
    await state(world, deferred(record))
    due = subjects.mail_due("main", "gmail", "spring")
    other = schemas.encode_mail(schemas.Mail("other", "b@example.org", 2, 0.0, b""))
    await world.bus.publish("MAIL", [Message(due, b"no mail", "x"), Message(due, other, "other/2")])
    assert await scheduled.already(world.bus, [record], 0) == set()
