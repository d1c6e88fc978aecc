"""Which messages of a range a copy of a stream did not give, and are not gone either."""

from events.bus import Passage
from events.nats_ranges import lacking


def passages(*sequences):
    return [Passage(b"", "events.accepted.spring", sequence) for sequence in sequences]


def test_a_copy_that_lags_lacks_the_end():
    assert lacking(passages(1, 2), 1, 4, {"first_seq": 1}) == [3, 4]


def test_a_copy_that_lags_may_lack_the_middle():
    assert lacking(passages(1, 3), 1, 3, {"first_seq": 1, "deleted": None}) == [2]


def test_what_the_stream_has_dropped_is_not_lacking():
    assert lacking(passages(7), 1, 7, {"first_seq": 7}) == []
    assert lacking([], 1, 7, {"first_seq": 8}) == []


def test_what_was_deleted_is_not_lacking():
    assert lacking(passages(1, 4), 1, 4, {"first_seq": 1, "deleted": [2, 3]}) == []
