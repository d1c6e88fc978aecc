"""Lanes that are not as fast as usual, over the API and in the overview."""

import msgspec
import pytest

from analytics.web import models
from events import streams
from events.pace import Pace, Why

WHY = Why("throttled", 1_800_000_000.0, 421, "4.7.28", "unusual rate", 0.25)


@pytest.fixture
async def slow(bus):
    """A lane that its provider paused until long after the tests."""
    pace = Pace(rate=20.0, peak=40.0, decreased_at=4e9, slow_since=4e9, not_before=4e9, why=WHY, configured=100.0)
    await (await bus.bucket(streams.THROTTLE)).put("main.gmail", msgspec.json.encode({"pace": pace, "tat": 3.5}))


@pytest.mark.usefixtures("slow")
async def test_lanes_that_are_held_back_are_listed_with_the_reason(client):
    answer = msgspec.json.decode((await client.get("/api/lanes")).content, type=models.Lanes)
    [lane] = answer.lanes
    assert (lane.name, lane.condition, lane.rate, lane.usual_rate) == ("main.gmail", "paused", 20.0, 100.0)
    assert lane.why == WHY


@pytest.mark.usefixtures("slow")
async def test_the_overview_has_them(client):
    overview = (await client.get("/api/campaigns")).json()
    assert [(lane["pool"], lane["provider"]) for lane in overview["lanes"]] == [("main", "gmail")]


async def test_where_all_lanes_go_there_are_none(client):
    assert (await client.get("/api/lanes")).json() == {"lanes": []}
