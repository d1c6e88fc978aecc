from hypothesis import given
from hypothesis import strategies as st

from analytics.ranges import Cutter, Policy, Range, next_range
from events.bus import StreamState

POLICY = Policy(rows=3, age_seconds=1.0)


def events(last, first=1):
    return StreamState(messages=last - first + 1, bytes=0, first_sequence=first, last_sequence=last)


def test_a_range_is_due_when_there_have_been_events_for_long_enough():
    cutter = Cutter(POLICY)
    assert cutter.due(0, events(1), now=10.0) is None
    assert cutter.due(0, events(2), now=10.9) is None
    assert cutter.due(0, events(2), now=11.0) == Range(1, 2)


def test_a_range_is_due_at_once_when_a_batch_is_full():
    assert Cutter(POLICY).due(4, events(9), now=0.0) == Range(5, 7)


def test_where_nothing_is_new_nothing_is_due():
    cutter = Cutter(POLICY)
    assert cutter.due(5, events(5), now=0.0) is None
    assert cutter.due(5, events(5), now=1_000.0) is None
    assert cutter.due(5, events(6), now=1_000.0) is None, "it was not there before"


def test_what_another_ingester_cut_lets_the_time_begin_anew():
    cutter = Cutter(POLICY)
    cutter.due(0, events(1), now=0.0)
    assert cutter.due(1, events(2), now=1.0) is None
    assert cutter.due(1, events(2), now=2.0) == Range(2, 2)


def test_what_the_stream_has_dropped_is_jumped_over_in_one_range():
    assert next_range(10, events(2_000, first=1_000), rows=3) == Range(11, 1_002)
    assert next_range(10, events(1_999, first=2_000), rows=3) == Range(11, 1_999), "all of it was dropped"


@given(st.lists(st.integers(0, 10), min_size=1), st.integers(1, 5))
def test_ranges_follow_each_other_without_gap_or_overlap(arrivals, rows):
    after, last, covered = 0, 0, []
    for more in arrivals:
        last += more
        while span := next_range(after, events(last), rows):
            assert 1 <= span.size <= rows
            covered += range(span.first, span.last + 1)
            after = span.last
    assert covered == list(range(1, last + 1))
