"""Changing the priority of a campaign moves what waits for producers, and loses nothing."""

import pytest

from events import campaigns, priority, schemas, streams, subjects
from events.bus import Message
from events.schemas import PRIORITIES, BatchJob, Campaign


def campaign(status="running", **more):
    return Campaign("spring", "Spring", status, "relay", "b@x.example", 1.0, **more)


@pytest.fixture
async def bus(memory_bus):
    await (await memory_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign()))
    return memory_bus


async def queue(bus, name="spring", numbers=(1, 2, 3), cls="normal"):
    jobs = [schemas.encode_batch(BatchJob(name, number, 5, f"{name}/batch/{number}")) for number in numbers]
    messages = [
        Message(subjects.batches(name, cls), job, f"{name}/batch/{n}") for n, job in zip(numbers, jobs, strict=True)
    ]
    await bus.publish("BATCHES", messages)


async def lying(bus):
    """The numbers of the waiting batches, by subject."""
    found = {}
    async for record in bus.read("BATCHES", subjects.BATCHES):
        found.setdefault(record.subject, []).append(schemas.decode_batch(record.payload).number)
    return found


async def test_waiting_batches_go_where_the_campaign_goes(bus):
    await queue(bus)
    await queue(bus, "autumn")
    changed = await priority.change(bus, "spring", "urgent", weight=4)
    assert (changed.priority, changed.weight) == ("urgent", 4)
    assert await lying(bus) == {"batches.autumn": [1, 2, 3], "batches.urgent.spring": [1, 2, 3]}


async def test_a_campaign_may_be_moved_to_and_fro_at_once(bus):
    """The server remembers the ids of batches for minutes; what is moved has none."""
    await queue(bus)
    for word in ("urgent", "normal", "low", "urgent", "normal"):
        await priority.change(bus, "spring", word)
        assert await lying(bus) == {subjects.batches("spring", word): [1, 2, 3]}


async def test_moving_twice_is_harmless(bus):
    await queue(bus, cls="low")
    assert await priority.move_batches(bus, "spring", "urgent") == 3
    assert await priority.move_batches(bus, "spring", "urgent") == 0


async def test_what_is_no_batch_is_left_alone(bus):
    await queue(bus)
    await bus.publish("BATCHES", [Message(subjects.batches("spring"), b"no batch")])
    assert await priority.move_batches(bus, "spring", "low") == 3


@pytest.mark.parametrize("cls", PRIORITIES)
async def test_batches_of_every_class_are_found(bus, cls):
    await queue(bus, cls=cls)
    assert [job.number for _, job in await priority.waiting_batches(bus, "spring")] == [1, 2, 3]


def test_the_weight_stays_where_none_is_given():
    assert priority.prioritise(campaign(weight=7), "low").weight == 7


@pytest.mark.parametrize("status", ["finished", "cancelled"])
def test_what_has_ended_has_no_priority(status):
    with pytest.raises(campaigns.WrongStatus, match=status):
        priority.prioritise(campaign(status), "urgent")
