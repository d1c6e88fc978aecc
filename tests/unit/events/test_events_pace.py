"""How a lane's rate comes back: a function of time, which everybody computes alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import pace as paces
from events.pace import Pace, Why

NOW = 1_800_000_000.0
SLOW = Pace(rate=10.0, peak=40.0, decreased_at=NOW, recovery_seconds=300.0)

rates = st.floats(0.1, 5_000.0)
times = st.floats(0.0, 1e6)


@st.composite
def slowed(draw):
    rate = draw(rates)
    return Pace(
        rate=rate,
        peak=rate * draw(st.floats(1.0, 10.0)),
        decreased_at=NOW,
        not_before=NOW + draw(st.sampled_from([0.0, 1.0, 900.0])),
        recovery_seconds=draw(st.floats(1.0, 1_000.0)),
    )


def test_a_lane_whose_provider_said_nothing_has_the_limit_that_was_configured():
    assert paces.rate_at(Pace(), 50.0, NOW) == 50.0
    assert paces.rate_at(Pace(), None, NOW) is None
    assert not paces.is_slow(Pace(), 50.0, NOW)


def test_the_rate_comes_back_in_even_steps_to_where_it_was_too_much():
    assert [paces.rate_at(SLOW, 1_000.0, NOW + after) for after in (0, 150, 300)] == [10.0, 25.0, 40.0]


def test_beyond_that_it_doubles_as_long_as_nobody_objects():
    assert [paces.rate_at(SLOW, 1_000.0, NOW + after) for after in (600, 900)] == [80.0, 160.0]


def test_nothing_comes_back_during_a_pause():
    paused = Pace(rate=10.0, peak=40.0, decreased_at=NOW, not_before=NOW + 600.0)
    assert paces.is_paused(paused, NOW + 599.0)
    assert not paces.is_paused(paused, NOW + 600.0)
    assert paces.rate_at(paused, 1_000.0, NOW + 600.0) == 10.0


def test_without_a_configured_limit_there_is_none_again_where_nobody_would_notice_it():
    again = paces.full_again_at(SLOW, None)
    assert paces.rate_at(SLOW, None, again - 1.0) == pytest.approx(paces.UNLIMITED, rel=0.01)
    assert paces.rate_at(SLOW, None, again + 1.0) is None


def test_what_a_person_set_holds_in_place_of_what_was_configured():
    assert paces.rate_at(Pace(override=5.0), 50.0, NOW) == 5.0
    assert paces.rate_at(Pace(override=80.0), 50.0, NOW) == 80.0
    assert paces.rate_at(Pace(rate=1.0, peak=2.0, decreased_at=NOW, override=5.0), 50.0, NOW + 1e6) == 5.0


def test_a_rate_that_a_person_fixed_stays():
    fixed = Pace(rate=1.0, peak=2.0, decreased_at=NOW, override=5.0, fixed=True)
    assert paces.rate_at(fixed, 50.0, NOW) == 5.0
    assert not paces.is_slow(fixed, 50.0, NOW)


def test_connections_are_tried_again_one_at_a_time():
    learned = Pace(connections=7, connections_peak=8, connections_at=NOW)
    assert [paces.connections_at(learned, None, NOW + after) for after in (0, 300, 600)] == [7, 8, 9]
    assert paces.connections_at(learned, 8, NOW + 3_000) == 8
    assert paces.connections_at(learned, None, NOW + 3_000) is None
    assert paces.connections_at(Pace(), 8, NOW) == 8


def test_why_a_lane_is_slow_reads_as_a_sentence():
    why = Why("throttled", NOW, 421, "4.7.28", "unusual rate", 0.25)
    assert str(why) == "the provider asked to slow down (25% put off): 421 4.7.28 unusual rate"
    assert str(Why("deferrals", NOW)) == "many mails were put off"


@given(slowed(), st.one_of(st.none(), rates), times, times)
def test_the_rate_never_falls_by_itself_and_never_exceeds_what_was_configured(pace, configured, after, more):
    earlier = paces.rate_at(pace, configured, NOW + after)
    later = paces.rate_at(pace, configured, NOW + after + more)
    if configured is not None:
        assert 0 < earlier <= later <= configured
    elif earlier is None:
        assert later is None
    else:
        assert later is None or earlier <= later


@given(slowed(), st.one_of(st.none(), rates))
def test_the_lane_is_as_fast_as_configured_when_it_is_said_to_be(pace, configured):
    again = paces.full_again_at(pace, configured)
    if configured is None:
        assert paces.rate_at(pace, configured, again * (1 + 1e-9) + 1.0) is None
    else:
        assert paces.rate_at(pace, configured, again) == pytest.approx(configured, rel=1e-4)
        assert paces.rate_at(pace, configured, again + 1.0) == pytest.approx(configured)
