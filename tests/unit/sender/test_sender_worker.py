"""One worker, nothing dies: every kind of outcome takes its way."""

import asyncio

import pytest
from sender_world import SETTINGS, Process, World, refused

from events import dead_letters, facts, schemas, subjects
from sender.drivers.base import NotTried, Unknown


@pytest.fixture
async def world(clock):
    world = World(clock)
    await world.set_up()
    yield world
    await world.stop()


async def test_every_mail_is_delivered_once_stated_and_acknowledged(world):
    await world.queue(*[f"mail{n:02}" for n in range(40)])
    await world.start()
    await world.until_settled()
    assert set(world.relay.took) == set(world.mails)
    assert set(world.relay.took.values()) == {1}
    assert await world.stories() == {mail: ["accepted"] for mail in world.mails}
