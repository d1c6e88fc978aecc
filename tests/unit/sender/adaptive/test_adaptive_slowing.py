"""What an objection does to a lane: one decrease in a window, never below the floor, never above the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import pace as paces
from events.pace import Pace, Why
from sender.adaptive import slowing
from sender.adaptive.meter import Seen
from sender.adaptive.settings import AdaptiveSettings
from sender.adaptive.slowing import Objection, Refusal

NOW = 1_800_000_000.0
SETTINGS = AdaptiveSettings()
WINDOW = SETTINGS.window_seconds
WHY = Why("throttled", NOW, 421, "4.7.28", "slow down")


def objection(sender="a", *, tried=100, put_off=1, seconds=10.0):
    return Objection(sender, WHY, Seen(tried, tried - put_off, put_off, seconds))


def slow_down(pace, heard, configured, now):
    return slowing.slow_down(pace, heard, configured, SETTINGS, now)


shares = st.floats(0.0, 1.0)
limits = st.one_of(st.none(), st.floats(0.01, 5_000.0))


@st.composite
def objections(draw):
    tried = draw(st.integers(1, 10_000))
    put_off = draw(st.integers(1, tried))
    return objection(draw(st.sampled_from("abcd")), tried=tried, put_off=put_off, seconds=draw(st.floats(1.0, 10.0)))


histories = st.lists(st.tuples(st.floats(0.0, 900.0), objections()), max_size=40)
"""Seconds since the one before, and what was heard."""


def test_a_few_mails_put_off_cost_a_quarter_of_the_rate():
    slow = slow_down(Pace(), objection(put_off=1), 100.0, NOW)
    assert paces.rate_at(slow, 100.0, NOW) == 75.0
    assert slow.why is WHY


def test_most_mails_put_off_cost_most_of_the_rate():
    assert slow_down(Pace(), objection(put_off=60), 100.0, NOW).rate == pytest.approx(40.0)
    assert slow_down(Pace(), objection(put_off=100), 100.0, NOW).rate == 25.0


def test_without_a_limit_the_first_decrease_begins_from_what_was_measured():
    slow = slow_down(Pace(), objection(tried=2_000, put_off=1_200), None, NOW)
    assert (slow.rate, slow.peak) == (60.0, 80.0)


def test_what_the_other_senders_got_through_is_added_to_the_first_limit():
    slow = slow_down(Pace(), objection("a", tried=1_000, put_off=10), None, NOW)
    joined = slowing.join(slow, "b", Seen(500, 500, 0, 10.0), SETTINGS, NOW + 1.0)
    assert (joined.rate, joined.peak) == (0.75 * (99.0 + 50.0), 99.0 + 50.0)
    assert slowing.join(joined, "b", Seen(500, 500, 0, 10.0), SETTINGS, NOW + 2.0) is joined
    assert slowing.join(slow, "c", Seen(500, 500, 0, 10.0), SETTINGS, NOW + WINDOW) is slow


def test_nobody_adds_to_a_limit_that_was_configured():
    slow = slow_down(Pace(), objection("a"), 100.0, NOW)
    assert slowing.join(slow, "b", Seen(500, 500, 0, 10.0), SETTINGS, NOW + 1.0) is slow


def test_where_everything_is_refused_the_way_back_leads_half_as_far():
    pace = slow_down(Pace(), objection(put_off=10), 100.0, NOW)
    peaks = [pace.peak]
    for number in range(1, 5):
        pace = slow_down(pace, objection(put_off=100), 100.0, NOW + number * WINDOW)
        peaks.append(pace.peak)
    assert peaks == [100.0, 50.0, 50.0, 50.0, 50.0]
    assert pace.rate < 2.0
    again = slow_down(pace, objection(put_off=10), 100.0, NOW + 150.0)
    assert again.peak == pytest.approx(paces.rate_at(pace, 100.0, NOW + 150.0))


def test_where_everything_is_refused_from_the_start_too():
    assert slow_down(Pace(), objection(put_off=100), 100.0, NOW).peak == 50.0


def test_one_sender_s_many_objections_in_a_window_are_one_decrease():
    slow = slow_down(Pace(), objection(), 100.0, NOW)
    assert slow_down(slow, objection(put_off=100), 100.0, NOW + WINDOW - 0.01) is slow
    assert slow_down(slow, objection(), 100.0, NOW + WINDOW).rate < 75.0


def test_slow_since_tells_when_the_first_decrease_was():
    slow = slow_down(Pace(), objection(), 100.0, NOW)
    slower = slow_down(slow, objection(), 100.0, NOW + WINDOW)
    recovered = paces.full_again_at(slower, 100.0) + 1.0
    again = slow_down(slower, objection(), 100.0, recovered)
    assert (slower.slow_since, again.slow_since) == (NOW, recovered)


def test_a_rate_that_a_person_fixed_is_not_slowed_down():
    fixed = slowing.override(50.0, NOW, fixed=True)
    assert slow_down(fixed, objection(), 100.0, NOW) is fixed


def test_a_rate_that_a_person_set_is_a_limit_like_one_that_was_configured():
    slow = slow_down(slowing.override(50.0, NOW), objection(), 100.0, NOW)
    assert paces.rate_at(slow, 100.0, NOW) == 37.5
    assert paces.rate_at(slow, 100.0, NOW + 1e6) == 50.0


def test_a_hint_pauses_the_lane():
    paused = slowing.pause(Pace(), 300.0, WHY, SETTINGS, NOW)
    assert paces.is_paused(paused, NOW + 299.0)
    assert not paces.is_paused(paused, NOW + 300.0)


def test_a_hint_of_hours_pauses_for_an_hour():
    assert slowing.pause(Pace(), 1e6, WHY, SETTINGS, NOW).not_before == NOW + 3_600.0


def test_the_same_hint_from_many_is_one_pause():
    paused = slowing.pause(Pace(), 300.0, WHY, SETTINGS, NOW)
    assert slowing.pause(paused, 300.0, WHY, SETTINGS, NOW + 5.0) is paused
    assert slowing.pause(paused, 10.0, WHY, SETTINGS, NOW + 5.0) is paused
    assert slowing.pause(paused, 300.0, WHY, SETTINGS, NOW + 200.0).not_before == NOW + 500.0


def test_one_connection_fewer_than_were_too_many():
    learned = slowing.fewer_connections(Pace(), Refusal("a", WHY, 8), None, SETTINGS, NOW)
    assert paces.connections_at(learned, None, NOW) == 7
    assert slowing.fewer_connections(learned, Refusal("b", WHY, 8), None, SETTINGS, NOW + 1.0) is learned
    fewer = slowing.fewer_connections(learned, Refusal("a", WHY, 7), None, SETTINGS, NOW + WINDOW)
    assert paces.connections_at(fewer, None, NOW + WINDOW) == 6


def test_where_most_connections_were_refused_as_many_fewer_remain():
    learned = slowing.fewer_connections(Pace(), Refusal("a", WHY, 20, 0.7), 20, SETTINGS, NOW)
    assert paces.connections_at(learned, 20, NOW) == 6
    learned = slowing.fewer_connections(Pace(), Refusal("a", WHY, 20, 1.0), 20, SETTINGS, NOW)
    assert paces.connections_at(learned, 20, NOW) == 5


def test_connections_of_other_senders_are_added_once():
    learned = slowing.fewer_connections(Pace(), Refusal("a", WHY, 8), None, SETTINGS, NOW)
    joined = slowing.join_connections(learned, "b", 5, SETTINGS, NOW + 1.0)
    assert paces.connections_at(joined, None, NOW + 1.0) == 12
    assert slowing.join_connections(joined, "b", 5, SETTINGS, NOW + 1.0) is joined


def test_one_connection_always_remains():
    learned = slowing.fewer_connections(Pace(), Refusal("a", WHY, 1), 1, SETTINGS, NOW)
    assert paces.connections_at(learned, 1, NOW) == 1


@given(limits, histories)
def test_the_rate_is_never_below_the_floor_nor_above_the_limit(configured, history):
    pace, now = Pace(), NOW
    for seconds, heard in history:
        now += seconds
        pace = slow_down(pace, heard, configured, now)
        rate = paces.rate_at(pace, configured, now)
        if configured is None:
            assert rate is None or rate >= SETTINGS.floor
        else:
            assert min(SETTINGS.floor, configured) <= rate <= configured


@given(st.floats(0.2, 5_000.0), histories)
def test_recovery_reaches_the_configured_limit(configured, history):
    pace, now = Pace(), NOW
    for seconds, heard in history:
        now += seconds
        pace = slow_down(pace, heard, configured, now)
    assert paces.rate_at(pace, configured, paces.full_again_at(pace, configured) + 1.0) == pytest.approx(configured)
    # and in a bearable time: from the floor to 5,000/s it doubles 16 times
    assert paces.full_again_at(pace, configured) - now <= 17 * SETTINGS.recovery_seconds


@given(
    limits,
    histories,
    st.lists(st.tuples(st.floats(0.0, 0.999 * WINDOW), objections()), min_size=1, max_size=50),
)
def test_a_burst_of_objections_from_many_senders_in_a_window_is_one_decrease(configured, history, burst):
    pace, now = Pace(), NOW
    for seconds, heard in history:
        now += seconds
        pace = slow_down(pace, heard, configured, now)
    now += WINDOW
    first, *others = sorted(burst, key=lambda one: one[0])
    once = slow_down(pace, first[1], configured, now)
    after = once
    for seconds, heard in others:
        after = slow_down(after, heard, configured, now + seconds - first[0])
    assert after is once
    assert once.decreased_at == now


@given(limits, histories, objections())
def test_an_objection_never_makes_a_lane_faster(configured, history, last):
    pace, now = Pace(), NOW
    for seconds, heard in history:
        now += seconds
        pace = slow_down(pace, heard, configured, now)
    before = paces.rate_at(pace, configured, now)
    after = paces.rate_at(slow_down(pace, last, configured, now), configured, now)
    assert before is None or (after is not None and after <= before * (1 + 1e-9))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"floor": 0}, "more than 0 mails/s"),
        ({"window_seconds": 0}, "enabled = false"),
        ({"recovery_seconds": -1}, "enabled = false"),
        ({"deferral_share": 50}, "0.5 is half"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        AdaptiveSettings(**wrong)


def test_each_time_that_everything_is_refused_on_the_way_back_it_leads_half_as_far():
    pace, now = slow_down(Pace(), objection(put_off=100), 1_000.0, NOW), NOW
    for _ in range(20):  # the provider goes on to refuse everything
        now += 60.0
        pace = slow_down(pace, objection(put_off=100), 1_000.0, now)
    assert paces.rate_at(pace, 1_000.0, now + 60.0) < 10.0
