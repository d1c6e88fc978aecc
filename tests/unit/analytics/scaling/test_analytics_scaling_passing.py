"""How many mails a limit lets pass in a time, and how long so many take."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaling_samples import NOW

from analytics.scaling import passing
from analytics.scaling.situation import Limit
from events.pace import Pace

HOUR = 3_600.0
DAY = 86_400.0
TO_MIDNIGHT = DAY - NOW % DAY


def capacity(limit, seconds=HOUR, session_rate=10.0):
    return passing.capacity(limit, seconds, NOW, session_rate)


def test_where_nothing_limits_everything_passes_at_once():
    assert capacity(Limit()) == inf
    assert passing.seconds_for(Limit(), 1e9, NOW, 10.0) == 0.0


def test_a_configured_rate_is_what_passes():
    assert capacity(Limit(rate=90.0)) == 324_000
    assert passing.seconds_for(Limit(rate=90.0), 900, NOW, 10.0) == 10.0


def test_connections_let_pass_what_sessions_send_through_them():
    assert capacity(Limit(connections=3)) == 3 * 10.0 * HOUR
    assert capacity(Limit(connections=3, rate=20.0)) == 20.0 * HOUR
    assert capacity(Limit(connections=3), session_rate=None) == inf, "nobody knows"


def test_a_lane_that_was_slowed_down_is_counted_on_halfway_to_what_was_too_much():
    slow = Limit(pace=Pace(rate=10.0, peak=50.0, decreased_at=NOW, recovery_seconds=300.0))
    assert capacity(slow, 150) == pytest.approx(150 * 20.0, rel=0.01)
    assert capacity(slow, HOUR) == pytest.approx(150 * 20.0 + 3_450 * 30.0, rel=0.01)
    assert passing.rate_now(slow, NOW, 10.0) == 10.0


def test_a_lane_that_has_come_further_is_as_fast_as_it_is():
    faster = Limit(pace=Pace(rate=10.0, peak=50.0, decreased_at=NOW - 600, recovery_seconds=300.0))
    assert passing.rate_now(faster, NOW, 10.0) == 100.0
    assert capacity(faster) == pytest.approx(HOUR * 100.0)


def test_so_are_connections():
    fewer = Limit(connections=20, pace=Pace(connections=2, connections_peak=8, connections_at=NOW))
    assert capacity(fewer, HOUR) == 2 * 10.0 * HOUR
    regained = Limit(connections=20, pace=Pace(connections=2, connections_peak=8, connections_at=NOW - 900.0))
    assert capacity(regained, HOUR) == 5 * 10.0 * HOUR


def test_nothing_passes_during_a_pause():
    paused = Limit(rate=10.0, pace=Pace(not_before=NOW + 1_800))
    assert capacity(paused, 1_800) == 0.0
    assert capacity(paused) == pytest.approx(18_000)
    assert passing.seconds_for(paused, 6_000, NOW, 10.0) == pytest.approx(2_400, rel=0.05)


def test_the_mails_of_a_day_are_there_again_at_midnight():
    daily = Limit(daily=1_000, used=400)
    assert capacity(daily) == 600
    assert capacity(daily, TO_MIDNIGHT + 1) == 1_600
    assert passing.seconds_for(daily, 700, NOW, 10.0) == pytest.approx(TO_MIDNIGHT, rel=0.001)
    assert passing.seconds_for(daily, 1e9, NOW, 10.0) == inf, "not within ten days"


def test_what_nobody_can_connect_to_lets_nothing_pass():
    assert capacity(Limit(down=True)) == 0.0
    assert passing.seconds_for(Limit(down=True), 1, NOW, 10.0) == inf
    assert passing.rate_now(Limit(down=True), NOW, 10.0) == 0.0


@given(
    rate=st.floats(0.1, 1_000.0),
    peak=st.floats(1_000.0, 5_000.0),
    since=st.floats(0.0, HOUR),
    mails=st.floats(1.0, 1e6),
)
def test_so_many_take_as_long_as_it_takes_until_so_many_may_pass(rate, peak, since, mails):
    limit = Limit(pace=Pace(rate=rate, peak=peak, decreased_at=NOW - since))
    seconds = passing.seconds_for(limit, mails, NOW, None)
    assert capacity(limit, seconds + 0.01, None) >= mails * 0.999
