"""How well a sender knows what time it is for the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.throttle.server_clock import DRIFT, Offset, ServerClock, better, measured

seconds = st.floats(0, 2)


@given(st.floats(-1e6, 1e6), seconds, seconds)
def test_the_error_is_no_more_than_half_the_way_there_and_back(ahead, there, back):
    offset = measured(100.0, 100.0 + there + ahead, 100.0 + there + back)
    assert abs(offset.seconds - ahead) <= offset.error + 1e-6


def test_a_quicker_answer_is_better():
    good, slow = Offset(5.0, 0.001, 10.0), Offset(5.01, 0.02, 11.0)
    assert better(None, slow) == slow
    assert better(slow, good) == good
    assert better(good, slow) == good


def test_what_was_measured_long_ago_is_less_sure():
    old = Offset(5.0, 0.001, 0.0)
    new = Offset(5.01, 0.02, 0.02 / DRIFT)
    assert better(old, new) == new


def test_a_clock_that_somebody_set_is_noticed():
    assert better(Offset(5.0, 0.001, 10.0), Offset(3.0, 0.05, 20.0)).seconds == 3.0


async def test_the_clock_is_that_of_the_server(memory_bus, clock):
    ours = ServerClock(memory_bus, lambda: 7.0)
    assert ours.now() is None
    ours.offset = better(ours.offset, await ours._ask())
    assert ours.now() == pytest.approx(clock())
