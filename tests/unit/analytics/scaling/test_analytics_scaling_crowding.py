"""Whether more senders sent more."""

import pytest
from scaling_samples import NOW

from analytics.scaling import crowding
from analytics.scaling.crowding import HELD_SECONDS, SETTLED_SECONDS


def course(*stretches, crowd=None, now=NOW):
    """Stretches of (senders, what they send together, seconds), looked at every five seconds."""
    for senders, rate, seconds in stretches:
        for _ in range(0, seconds, 5):
            crowd = crowding.follow(crowd, senders, rate, now)
            now += 5
    return crowd


def test_senders_that_send_more_together_are_a_help():
    crowd = course((2, 1_000.0, 60), (4, 1_900.0, 60))
    assert (crowd.ceiling, crowding.sender_rate(crowd)) == (None, None)


def test_senders_that_send_no_more_together_are_none():
    crowd = course((2, 1_000.0, 60), (4, 1_050.0, 60))
    assert crowd.ceiling == 1_050.0
    assert crowding.sender_rate(crowd) == 525.0, "as fast as each of the two might be"


@pytest.mark.parametrize(("rate", "helps"), [(1_240.0, False), (1_260.0, True)])
def test_a_quarter_of_what_they_should_send_is_a_help(rate, helps):
    assert (course((2, 1_000.0, 60), (4, rate, 60)).ceiling is None) is helps


def test_it_is_judged_when_what_they_measure_is_of_all_of_them():
    assert course((2, 1_000.0, 60), (4, 1_000.0, int(SETTLED_SECONDS))).ceiling is None
    assert course((2, 1_000.0, 60), (4, 1_000.0, int(SETTLED_SECONDS) + 5)).ceiling == 1_000.0


def test_senders_that_are_not_at_full_work_say_nothing():
    assert course((2, 1_000.0, 60), (4, None, 120)).ceiling is None
    assert course((2, None, 120), (4, 1_000.0, 60)).ceiling is None


def test_it_is_believed_when_those_too_many_are_gone_and_tried_later_with_twice_as_many_as_are_enough():
    known = course((2, 1_000.0, 60), (4, 1_000.0, 60))
    gone = course((2, 1_000.0, 120), crowd=known, now=NOW + 120)
    assert (gone.limit, gone.fewer, crowding.sender_rate(gone)) == (1_000.0, 2, 500.0)
    later = NOW + 125 + HELD_SECONDS
    trying = course((2, 1_000.0, 5), crowd=gone, now=later)
    assert (trying.limit, crowding.sender_rate(trying)) == (2_000.0, 500.0)
    assert course((4, 1_000.0, 60), crowd=trying, now=later + 5).limit == 1_000.0
    assert course((4, 1_900.0, 60), crowd=trying, now=later + 5).limit is None


def test_what_is_faster_again_has_no_ceiling():
    known = course((2, 1_000.0, 60), (4, 1_000.0, 60))
    assert course((4, 2_000.0, 60), crowd=known, now=NOW + 120).ceiling is None


def test_numbers_that_change_all_the_time_are_compared_with_the_last_that_lasted():
    assert course((2, 1_000.0, 60), (3, 900.0, 20), (5, 900.0, 20), (10, 1_100.0, 60)).ceiling == 1_100.0
