"""Senders over time."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.scaling.crew import Crew

COUNTS = st.integers(0, 50)
SECONDS = st.floats(0.0, 200.0)


def test_those_that_work_begin_at_once_and_others_when_they_come():
    crew = Crew(alive=2, coming=3, coming_seconds=20.0, more_seconds=60.0)
    assert crew.needed(effort=100.0, seconds=100.0) == 1.0
    assert crew.needed(effort=200.0 + 80.0, seconds=100.0) == 3.0
    assert crew.needed(effort=200.0 + 240.0 + 40.0, seconds=100.0) == 6.0


def test_those_that_come_too_late_are_no_help():
    assert Crew(alive=1, more_seconds=60.0).needed(effort=100.0, seconds=60.0) == inf


def test_an_effort_takes_as_long_as_those_who_are_there_need():
    crew = Crew(alive=2, coming=2, coming_seconds=10.0, more_seconds=60.0)
    assert crew.seconds_for(20.0, senders=4) == 10.0
    assert crew.seconds_for(60.0, senders=4) == 20.0
    assert crew.seconds_for(60.0, senders=1) == 60.0
    assert crew.seconds_for(300.0, senders=6) == pytest.approx(60.0 + (300.0 - 220.0) / 6)
    assert (crew.seconds_for(0.0, senders=0), crew.seconds_for(1.0, senders=0)) == (0.0, inf)


def test_time_brings_those_who_are_on_their_way_nearer():
    later = Crew(alive=1, coming=2, coming_seconds=20.0, more_seconds=60.0).after(30.0)
    assert later == Crew(1, 2, 0.0, 30.0)


@given(
    alive=COUNTS,
    coming=COUNTS,
    first=SECONDS,
    second=SECONDS,
    effort=st.floats(1.0, 1e6),
    seconds=st.floats(201.0, 1e4),
)
def test_as_many_as_are_needed_are_done_in_that_time(alive, coming, first, second, effort, seconds):
    crew = Crew(alive, coming, min(first, second), max(first, second))
    needed = crew.needed(effort, seconds)
    whole = int(needed) + 1
    assert crew.seconds_for(effort, whole) <= seconds * (1 + 1e-9)
