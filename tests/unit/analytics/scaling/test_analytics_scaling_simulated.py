"""Decisions that have consequences: a campaign of ten million, senders that come late, lanes that take only so much."""

from math import ceil

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scaling_samples import GMAIL, OTHER, SETTINGS, World

HOUR = 3_600.0


def ideal(mails, rate, seconds, start_seconds=60.0):
    """With so few, all of them called at once, it can just be done."""
    return ceil(mails / rate / (seconds - start_seconds))


def test_ten_million_are_sent_within_the_hour_by_senders_that_come_a_minute_late():
    world = World({OTHER: 10_000_000.0}, rate=500.0)
    world.run(HOUR + 400)
    assert world.done_at < world.deadline
    assert max(world.wanted) <= ceil(1.2 * ideal(10_000_000, 500, HOUR))
    assert world.wanted[-1] == 0


@given(
    senders=st.floats(0.1, 40.0),
    rate=st.floats(20.0, 5_000.0),
    minutes=st.floats(10.0, 180.0),
    start_seconds=st.floats(5.0, 120.0),
)
@settings(max_examples=20)
def test_a_campaign_that_can_be_sent_in_time_is_with_few_senders_more_than_that_takes(
    senders, rate, minutes, start_seconds
):
    mails = senders * rate * (minutes * 60 - start_seconds)
    settings = SETTINGS.__class__(min_senders=0, max_senders=60, sender_start_seconds=max(1.0, start_seconds))
    world = World({OTHER: mails}, rate=rate, minutes=minutes, settings=settings, start_seconds=start_seconds)
    world.run(minutes * 60)
    assert world.done_at <= world.deadline
    assert max(world.wanted) <= ceil(1.3 * ideal(mails, rate, minutes * 60, start_seconds)) + 1


@pytest.mark.parametrize("assumed", [100.0, 500.0, 4_000.0])
def test_what_was_assumed_of_senders_is_put_right_once_they_work(assumed):
    world = World({OTHER: 5_000_000.0}, rate=500.0, assumed=assumed)
    world.run(HOUR)
    assert world.done_at <= world.deadline
    assert world.wanted[int(1_200 / 10)] <= ceil(1.3 * ideal(5_000_000, 500, HOUR)), "after twenty minutes"


@given(others=st.floats(0.0, 3e6), gmail=st.floats(1e6, 1e7), rate=st.floats(10.0, 200.0))
@settings(max_examples=12)
def test_a_lane_that_is_used_up_gets_no_more_senders_than_it_would_without_its_backlog(others, gmail, rate):
    assume(others > 1_000)
    limited = World({GMAIL: gmail, OTHER: others}, rate=500.0, lanes={GMAIL: rate})
    without = World({GMAIL: rate * HOUR, OTHER: others}, rate=500.0)
    for world in (limited, without):
        world.run(HOUR / 2)
    assert max(limited.wanted) <= max(without.wanted) + 1


def test_senders_are_let_go_when_the_rest_waits_for_one_slow_lane():
    world = World({GMAIL: 500_000.0, OTHER: 5_000_000.0}, rate=500.0, lanes={GMAIL: 100.0})
    world.run(3 * HOUR)
    assert world.wanted[-1] == 0
    assert world.left[GMAIL] == 0.0
    assert world.wanted[int(1.2 * HOUR / 10)] == 1


def test_a_relay_that_takes_no_more_from_more_senders_is_found_out_and_they_are_let_go():
    world = World({OTHER: 8_000_000.0}, rate=500.0, relay=1_000.0)
    world.run(2 * HOUR)
    late = slice(int(1.1 * HOUR / 10), None)
    assert max(world.wanted[late]) <= 2 * min(world.wanted[late]), "now and then it is tried with twice as many"
    assert min(world.wanted[late]) <= 6, "as many as there were before more did not help"
    assert world.reasons[late].count("provider_limited") > len(world.reasons[late]) / 2


def test_a_fast_relay_is_not_taken_for_one():
    world = World({OTHER: 10_000_000.0}, rate=500.0, relay=1_000_000.0)
    world.run(HOUR)
    assert world.done_at <= world.deadline
    assert "provider_limited" not in world.reasons
