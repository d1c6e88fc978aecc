"""What `jetpost status` says of senders."""

import pytest
from msgspec.structs import replace

from analytics.scaling import stored
from analytics.scaling.decision import Decision
from analytics.scaling.stored import STALE_SECONDS, Stored
from jetpost.cli import scaling

WHY = "More senders would not help spring: main.gmail takes 90 mails/s at present, and it will be 2 h 5 min late."


@pytest.fixture
def decision(clock):
    return Decision(
        at=clock(), wanted=1, reason="provider_limited", why=WHY, alive=1, needed=1, late_seconds={"spring": 7_500.0}
    )


async def test_it_is_said_how_many_work_how_many_are_wanted_and_why(memory_bus, decision):
    await stored.write(memory_bus, Stored(decision))
    assert await scaling.standing(memory_bus) == [f"senders: 1 at work, 1 wanted. {WHY}"]


async def test_nothing_is_said_while_nothing_is_to_be_sent(memory_bus, decision):
    await stored.write(memory_bus, Stored(replace(decision, reason="idle")))
    assert await scaling.standing(memory_bus) == []


async def test_nor_where_nobody_works_it_out(memory_bus, decision, clock):
    assert await scaling.standing(memory_bus) == []
    await stored.write(memory_bus, Stored(decision))
    clock.advance(STALE_SECONDS + 1)
    assert await scaling.standing(memory_bus) == []


async def test_nor_where_the_bus_does_not_tell(memory_bus, decision):
    await stored.write(memory_bus, Stored(decision))
    memory_bus.unavailable = True
    assert await scaling.standing(memory_bus) == []
