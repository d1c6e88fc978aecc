"""Complaints count against lanes and their warm-up, each once."""

import pytest

from events import breaker, complaints, schemas, streams, warmup
from events.breaker import EVERY_LANE
from events.complaints import Complaint
from events.schemas import Campaign

NOW = 1_800_000_000.0
TOLD = [
    Complaint("spring", "ann@gmail.com", 5),
    Complaint("spring", "bob@GMAIL.com", 7),
    Complaint("spring", "eve@yahoo.co.uk", 8),
    Complaint("spring", "", 9),
    Complaint("nobody", "ann@gmail.com", 10),
]


@pytest.fixture
async def bus(memory_bus):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", NOW)
    await (await memory_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    return memory_bus


async def by_lane(bus):
    return {lane: state.complaints for lane, state in (await breaker.get(bus, "spring")).lanes.items()}


async def test_they_count_against_the_lanes_of_those_who_complain(bus):
    await complaints.count(bus, TOLD, NOW)
    assert await by_lane(bus) == {"main.gmail": 2, "main.yahoo": 1, EVERY_LANE: 1}


async def test_each_counts_once_however_often_it_is_told(bus):
    await complaints.count(bus, TOLD, NOW)
    await complaints.count(bus, TOLD, NOW)
    await complaints.count(bus, [Complaint("spring", "joe@gmail.com", 11)], NOW)
    assert (await by_lane(bus))["main.gmail"] == 3


async def test_they_count_in_the_warm_up_of_lanes_that_have_one(bus):
    await warmup.change(bus, "main.gmail", warmup.day_of(NOW), lambda state: state)
    await complaints.count(bus, TOLD, NOW)
    await complaints.count(bus, TOLD, NOW)
    [state] = await warmup.all_of(bus)
    assert (state.lane, state.today.complaints) == ("main.gmail", 2)


async def test_mails_that_came_back_count_beside_them(bus):
    await warmup.change(bus, "main.gmail", warmup.day_of(NOW), lambda state: state)
    told = [*TOLD, Complaint("spring", "joe@gmail.com", 11, returned=True), Complaint("spring", "", 12, returned=True)]
    await complaints.count(bus, told, NOW)
    await complaints.count(bus, told, NOW)
    assert await by_lane(bus) == {"main.gmail": 2, "main.yahoo": 1, EVERY_LANE: 1}
    lanes = (await breaker.get(bus, "spring")).lanes
    assert {lane: state.returned for lane, state in lanes.items()} == {"main.gmail": 1, "main.yahoo": 0, EVERY_LANE: 1}
    [state] = await warmup.all_of(bus)
    assert (state.today.complaints, state.today.hard) == (2, 1)
