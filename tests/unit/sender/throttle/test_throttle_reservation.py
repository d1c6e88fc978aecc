"""How tokens are reserved: the k-th is due 1/rate after the one before, whoever asks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.pace import Pace
from sender.throttle.limits import Limits, effective
from sender.throttle.reservation import LEAD_SECONDS, Grant, Wait, give_back, reserve, shut
from sender.throttle.state import EMPTY, State

NOON = 1_800_014_400.0  # 12:00 UTC
TODAY = 20833


def limits(now=NOON, state=EMPTY, **fields):
    return effective(Limits(**fields), state, now)


def test_what_is_reserved_begins_where_the_last_reservation_ended():
    limited = limits(rate=100)
    state, first = reserve(EMPTY, limited, 5, NOON)
    state, second = reserve(state, limited, 5, NOON)
    assert second.start == first.start + 5 * 0.01
    assert (first.number, first.spacing, first.day) == (5, 0.01, TODAY)


def test_nobody_reserves_more_than_a_chunk_nor_far_ahead():
    limited, state, grants = limits(rate=1_000), EMPTY, []
    while not isinstance((answer := reserve(state, limited, 5_000, NOON))[1], Wait):
        state, grant = answer
        grants.append(grant)
    assert [grant.number for grant in grants] == [100] * len(grants)
    assert LEAD_SECONDS < state.tat - NOON < LEAD_SECONDS + 0.1 + 0.001
    assert answer == (state, Wait(state.tat - LEAD_SECONDS, "rate"))


def test_senders_that_reserve_at_the_same_time_take_equal_parts():
    limited, state, sizes = limits(rate=1_000), EMPTY, []
    for _ in range(3):
        for sender in "abcd":
            state, grant = reserve(state, limited, 5_000, max(NOON, state.tat), sender)
            sizes.append(grant.number)
    assert sizes == [100, 50, 33, 25] + [25] * 8
    state, grant = reserve(state, limited, 5_000, state.tat + 3, "d")
    assert (grant.number, list(state.reserving)) == (100, ["d"])


def test_many_senders_come_by_less_often():
    state = EMPTY
    for number in range(50):
        state, grant = reserve(state, limits(rate=1_000), 5_000, max(NOON, state.tat), f"{number}")
    assert grant.number == 10


def test_a_slow_limit_gives_a_token_at_a_time():
    state, grant = reserve(EMPTY, limits(rate=0.5), 10, NOON)
    assert grant.number == 1
    assert reserve(state, limits(rate=0.5), 10, NOON)[1].why == "rate"
    assert reserve(state, limits(rate=0.5), 10, state.tat)[1].number == 1


def test_after_a_while_without_mails_only_a_part_of_the_burst_is_due_at_once():
    state = State(tat=NOON - 3_600)
    _, grant = reserve(state, limits(rate=100, burst=41), 10, NOON)
    assert grant.late_seconds == 0.2
    assert NOON - grant.start == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("slow", [0.001, 0.02, 5])
def test_where_the_rate_is_raised_the_next_token_is_due_as_long_after_the_last_as_the_new_rate_says(slow):
    state, last = reserve(EMPTY, limits(rate=slow), 1, NOON)
    _, grant = reserve(state, limits(rate=20), 1, last.start)
    assert grant.start - last.start == pytest.approx(1 / 20)
    assert reserve(state, limits(rate=slow / 2), 1, last.start)[1] == Wait(state.tat - LEAD_SECONDS, "rate")


def test_an_arrival_time_from_a_wrong_clock_does_not_stop_mail_for_long():
    assert isinstance(reserve(State(tat=NOON + 59), limits(rate=100), 1, NOON)[1], Wait)
    assert isinstance(reserve(State(tat=NOON + 90_000), limits(rate=100), 1, NOON)[1], Grant)


def test_a_day_ends_at_midnight_utc():
    limited = limits(daily=30)
    state, grant = reserve(EMPTY, limited, 100, NOON)
    assert grant.number == 30
    assert reserve(state, limited, 1, NOON) == (state, Wait(NOON + 43_200, "daily"))
    assert reserve(state, limited, 1, NOON + 43_200)[1].number == 1


def test_what_lapsed_does_not_count_for_its_day():
    state, grant = reserve(EMPTY, limits(daily=30), 30, NOON)
    assert give_back(state, 20, grant.day).used == 10
    assert give_back(state, 20, grant.day - 1) == state


def test_nothing_is_reserved_before_the_moment_that_a_provider_named():
    state = State(pace=Pace(not_before=NOON + 60))
    assert reserve(state, limits(state=state), 1, NOON) == (state, Wait(NOON + 60, "paused"))
    assert limits(NOON + 60, state).is_none


def test_the_least_of_what_is_configured_learned_and_allowed_holds():
    learned = Pace(rate=20, peak=30, decreased_at=NOON, connections=7, connections_peak=8, connections_at=NOON)
    state = State(pace=learned, allowance=500)
    held = limits(state=state, rate=100, burst=50, connections=3, daily=1_000)
    assert held[:4] == (20, 10, 3, 500)
    assert limits(state=state)[:4] == (20, 5, 7, 500)
    assert limits().is_none


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 0.4)), min_size=1), st.sampled_from([0.3, 7, 90, 4_000]))
def test_tokens_are_never_due_closer_together_than_the_rate_allows(asked, rate):
    state, now, limited, due = EMPTY, NOON, limits(rate=rate), []
    for wanted, later in asked:
        now += later
        state, grant = reserve(state, limited, wanted, now)
        if isinstance(grant, Grant):
            due += [grant.start + k * grant.spacing for k in range(grant.number)]
    assert all(b - a > 1 / rate - 1e-6 for a, b in pairwise(due))


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 0.4), st.sampled_from([0.001, 0.3, 7, 90])), min_size=1),
)
def test_nor_closer_than_the_faster_rate_allows_where_it_changes(steps):
    state, now, due = EMPTY, NOON, []
    for wanted, later, rate in steps:
        now += later
        state, grant = reserve(state, limits(rate=rate), wanted, now)
        if isinstance(grant, Grant):
            due += [(grant.start + k * grant.spacing, grant.spacing) for k in range(grant.number)]
    assert all(b - a > min(one, other) - 1e-6 for (a, one), (b, other) in pairwise(due))


PACES = st.sampled_from([Pace(), Pace(not_before=NOON + 60), Pace(override=0.5)])
STATES = st.builds(
    State,
    tat=st.floats(NOON - 9, NOON + 99),
    day=st.just(TODAY),
    used=st.integers(0, 9),
    pace=PACES,
    spacing=st.sampled_from([0.0, 0.01, 100.0]),
)


@given(STATES, st.sampled_from([{"rate": 9.0}, {"daily": 5}, {"rate": 9.0, "daily": 5}]))
def test_what_is_shut_gives_nothing_and_what_is_not_gives_something(state, fields):
    limited = limits(state=state, **fields)
    _, answer = reserve(state, limited, 1, NOON)
    assert shut(state, limited, NOON) == (answer if isinstance(answer, Wait) else None)
