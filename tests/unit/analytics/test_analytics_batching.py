import itertools

from hypothesis import given
from hypothesis import strategies as st

from analytics.batching import Gathering, Policy, Range
from events.bus import Delivery

POLICY = Policy(rows=3, age_seconds=1.0)


def delivery(sequence, deliveries=1):
    return Delivery(b"", "events.accepted.spring", sequence, deliveries, f"{sequence}/{deliveries}")


def gathering(*sequences, after=0):
    made = Gathering(POLICY, after)
    made.add(map(delivery, sequences), now=0.0)
    return made


def test_a_range_is_due_when_its_oldest_event_is_old_enough():
    made = gathering(1)
    made.add([delivery(2)], now=0.9)
    assert not made.is_due(0.99)
    assert made.is_due(1.0)


def test_a_range_is_due_at_once_when_a_batch_is_full():
    assert gathering(1, 2, 3).is_due(0.0)


def test_nothing_held_is_never_due():
    assert not gathering().is_due(1_000.0)


def test_the_wait_ends_when_the_range_is_due():
    assert gathering(1).seconds_until_due(0.25) == 0.75
    assert gathering().seconds_until_due(0.25) == 1.0


def test_a_range_begins_behind_the_last_one_and_ends_where_a_batch_is_full():
    assert gathering(14, 11, 12, 13, after=10).next_range() == Range(11, 13)


def test_a_gap_belongs_to_the_range_around_it():
    made = gathering(12, 15, after=10)
    span = made.next_range()
    assert span == Range(11, 15)
    assert len(made.held(span)) < span.size


def test_deliveries_are_held_in_the_order_of_the_stream_and_once():
    made = gathering(3, 1, 2)
    made.add([delivery(2, deliveries=2)], now=0.1)
    assert [(d.sequence, d.deliveries) for d in made.held(Range(1, 3))] == [(1, 1), (2, 2), (3, 1)]


def test_what_was_settled_only_needs_its_acknowledgement():
    made = gathering(after=10)
    assert made.add([delivery(10, 2), delivery(11)], now=0.0) == [delivery(10, 2)]
    assert len(made) == 1


def test_settling_returns_what_waits_for_its_acknowledgement_and_the_rest_ages_anew():
    made = gathering(1, 2, 3, 4)
    assert [d.sequence for d in made.settle(3, now=5.0)] == [1, 2, 3]
    assert made.after == 3
    assert not made.is_due(5.5)
    assert made.is_due(6.0)


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(1, 7), st.integers(1, 9))
def test_ranges_follow_each_other_without_gap_or_overlap_whatever_is_delivered(sequences, rows, chunk):
    made = Gathering(Policy(rows=rows, age_seconds=0.0), after=0)
    ranges = []
    for start in range(0, len(sequences), chunk):
        made.add(map(delivery, sequences[start : start + chunk]), now=0.0)
        while len(made):
            ranges.append(made.next_range())
            assert len(made.held(ranges[-1])) <= rows
            made.settle(ranges[-1].last, now=0.0)
    assert ranges[0].first == 1
    assert ranges[-1].last == max(sequences)
    assert all(later.first == earlier.last + 1 for earlier, later in itertools.pairwise(ranges))
