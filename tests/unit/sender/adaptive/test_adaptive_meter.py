"""What a sender saw of a lane lately."""

import pytest

from sender.adaptive.meter import Meter, Seen


def test_counts_what_a_window_holds_and_forgets_the_rest():
    meter = Meter(10.0)
    for second in range(30):
        meter.add(second, 100, 98, 2)
    assert meter.seen(29.5) == Seen(1_000, 980, 20, 9.5)


def test_a_lane_that_just_began_is_measured_over_the_time_since():
    meter = Meter(10.0)
    meter.add(100.0, 16, 16, 0)
    meter.add(102.0, 16, 8, 8)
    seen = meter.seen(102.0)
    assert (seen.tried_rate, seen.accepted_rate, seen.put_off_share) == (16.0, 12.0, 0.25)


def test_a_lane_that_began_within_a_slot_is_measured_from_there():
    meter = Meter(10.0)
    meter.add(100.19, 100, 100, 0)
    meter.add(100.99, 100, 100, 0)
    assert meter.seen(100.99).tried_rate == pytest.approx(250.0)


def test_a_single_turn_is_not_taken_for_an_enormous_rate():
    meter = Meter(10.0)
    meter.add(100.0, 16, 16, 0)
    assert meter.seen(100.001).tried_rate == 32.0


def test_begins_anew():
    meter = Meter(10.0)
    meter.add(100.0, 16, 16, 0)
    meter.begin_anew()
    assert meter.seen(100.0) == Seen(0, 0, 0, 0.5)
    assert meter.seen(100.0).put_off_share == 0.0


def test_an_idle_lane_has_seen_nothing():
    meter = Meter(10.0)
    meter.add(100.0, 16, 16, 0)
    assert meter.seen(200.0).tried == 0
