"""Tokens in hand: when they may be spent, and when it is too late."""

import pytest

from sender.throttle.reservation import Grant
from sender.throttle.tokens import TICK_SECONDS, Taken, Tokens

NOW = 1_800_000_000.0


@pytest.fixture
def tokens():
    """Ten, one each tenth of a second, good for a quarter of one."""
    made = Tokens()
    made.add(Grant(10, NOW, 0.1, 0.25, 1))
    return made


def test_tokens_are_ready_when_they_are_due(tokens):
    assert [tokens.ready(NOW + after) for after in (-0.05, 0.0, 0.05, 0.1, 0.2)] == [0, 1, 1, 2, 3]
    assert tokens.left(NOW) == 10


def test_tokens_that_are_not_spent_lapse(tokens):
    assert tokens.ready(NOW + 0.26) == 2
    assert tokens.left(NOW + 0.26) == 9
    assert tokens.count() == (0, {1: 1})
    assert tokens.count() == (0, {})


def test_what_was_taken_and_not_spent_may_be_taken_again(tokens):
    (first, second), at = tokens.take(1, NOW) + tokens.take(1, NOW + 0.1), NOW + 0.1
    assert tokens.take(5, at) == []
    tokens.put_back([first, second])
    assert tokens.take(5, at) == [first, second]


def test_taken_tokens_are_good_for_half_as_long_again(tokens):
    taken = Taken(tokens.take(3, NOW + 0.2))
    assert taken.number == 3
    assert taken.good_until() == pytest.approx(NOW + 0.375)
    assert Taken(taken.without_first(1)).good_until() == pytest.approx(NOW + 0.475)
    assert Taken([]).good_until() > NOW + 1e9


def test_the_next_are_ready_at_the_end_of_a_tick():
    tokens = Tokens()
    tokens.add(Grant(100, NOW + 0.001, 0.001, 0.1, 1))
    assert tokens.next_ready(NOW) == pytest.approx(NOW + TICK_SECONDS)
    assert tokens.ready(NOW + 0.005) == 0
    assert tokens.ready(NOW + TICK_SECONDS) == pytest.approx(20, abs=1)


def test_nothing_is_ready_where_there_is_nothing():
    assert Tokens().next_ready(NOW) is None


def test_tokens_of_a_day_without_a_rate_are_ready_at_once():
    tokens = Tokens()
    tokens.add(Grant(50, NOW, 0.0, 5.0, 1))
    assert tokens.ready(NOW) == 50
    assert tokens.next_ready(NOW) is None
    assert tokens.left(NOW + 5.1) == 0


def test_dropped_tokens_count_as_lapsed(tokens):
    tokens.drop()
    assert tokens.left(NOW) == 0
    assert tokens.count() == (0, {1: 10})
