"""What people are told of a lane: how fast it may go now, why, since when and until when."""

from events import lanes, streams
from events.lanes import EVERY
from events.pace import Pace, Why

NOW = 1_800_000_000.0
WHY = Why("throttled", NOW - 60, 421, "4.7.28", "slow down", 0.1)
SLOW = Pace(rate=50.0, peak=100.0, decreased_at=NOW, slow_since=NOW - 60, why=WHY, configured=100.0)


def look(pace, rate=None, connections=None):
    return lanes.look("main", "gmail", pace, NOW, rate, connections)


def test_a_lane_that_nothing_limits_is_free():
    lane = look(Pace())
    assert (lane.name, lane.condition, lane.rate, lane.until) == ("main.gmail", "free", None, None)


def test_a_configured_limit_is_told():
    lane = look(Pace(), 100.0, 20)
    assert (lane.condition, lane.rate, lane.connections) == ("limited", 100.0, 20)


def test_a_slow_lane_tells_why_since_when_and_until_when():
    lane = look(SLOW, 100.0)
    assert (lane.condition, lane.rate, lane.usual_rate, lane.why) == ("slow", 50.0, 100.0, WHY)
    assert (lane.since, lane.until) == (NOW - 60, NOW + 300)


def test_a_lane_that_has_recovered_is_slow_no_more():
    lane = lanes.look("main", "gmail", SLOW, NOW + 301, 100.0)
    assert (lane.condition, lane.rate, lane.why, lane.since) == ("limited", 100.0, None, None)


def test_a_pause_is_told_and_when_it_ends():
    lane = look(Pace(not_before=NOW + 30, why=WHY))
    assert (lane.condition, lane.paused_until, lane.until, lane.why) == ("paused", NOW + 30, NOW + 30, WHY)


def test_fewer_connections_make_a_lane_slow():
    lane = look(Pace(connections=4, connections_peak=5, connections_at=NOW, why=WHY), None, 10)
    assert (lane.condition, lane.connections, lane.usual_connections, lane.since) == ("slow", 4, 10, WHY.at)


def test_what_a_person_set_is_told():
    lane = look(Pace(override=5.0, fixed=True, override_at=NOW - 1), 100.0)
    assert (lane.condition, lane.rate, lane.usual_rate, lane.fixed, lane.since) == ("set", 5.0, 5.0, True, NOW - 1)


async def test_lanes_are_read_whatever_else_lies_beside_them(memory_bus):
    bucket = await memory_bus.bucket(streams.THROTTLE)
    await bucket.put("main.gmail", b'{"tat": 3, "pace": {"rate": 50.0, "peak": 100.0}, "later": [1]}')
    await bucket.put("main", b'{"used": 3}')
    await bucket.put("campaign=spring", b'{"used": 3}')
    await bucket.put("main.yahoo", b"{?")
    found = await lanes.read(memory_bus)
    assert found == {
        ("main", "gmail"): Pace(rate=50.0, peak=100.0),
        ("main", EVERY): Pace(),
        ("main", "yahoo"): Pace(),
    }


def test_readers_without_settings_are_told_of_lanes_that_are_held_back():
    known = {("main", "gmail"): SLOW, ("main", EVERY): Pace(), ("b", "yahoo"): Pace(override=5.0)}
    found = lanes.look_at_all(known, NOW)
    assert [(lane.name, lane.condition, lane.usual_rate) for lane in found] == [
        ("b.yahoo", "set", 5.0),
        ("main.gmail", "slow", 100.0),
    ]
