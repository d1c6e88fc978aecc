"""What is written down of ranges. Several ingesters may change it in any order: nothing is cut twice and nothing forgotten."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import progress
from analytics.progress import Book, Open, Progress
from analytics.ranges import Range
from events import streams

START = Progress(origin="x", range=Range(1, 0), inserted=True)


def with_three_open():
    known = START
    for number, owner in enumerate("aba"):
        known = progress.with_cut(known, Range(10 * number + 1, 10 * number + 10), owner, 100.0 + number)
    return known


def test_at_the_beginning_nothing_is_ingested_and_nothing_open():
    assert (START.cut, START.ingested, START.open) == (0, 0, ())


def test_ingested_is_what_lies_before_everything_open():
    known = with_three_open()
    assert (known.cut, known.ingested) == (30, 0)
    known = progress.without(known, Range(11, 20))
    assert (known.ingested, known.inserted) == (0, False)
    known = progress.without(known, Range(1, 10))
    assert known.ingested == 20
    known = progress.without(known, Range(21, 30))
    assert (known.ingested, known.inserted, known.cut) == (30, True, 30)


def test_a_range_whose_lease_is_over_is_the_next_ingester_s():
    known = with_three_open()
    assert known.lapsed(99.9) is None
    assert known.lapsed(101.0) == Open(range=Range(1, 10), owner="a", until=100.0, number=1)
    known = progress.with_owner(known, Range(1, 10), "c", 200.0)
    assert known.lapsed(101.0).range == Range(11, 20)
    assert known.lapsed(101.0, before=20) is None, "it is not before the range that waits"
    assert known.has_open(Range(1, 10), "c")
    assert not known.has_open(Range(1, 10), "a")
    assert not known.has_open(Range(1, 11))


def test_a_hold_keeps_others_from_cutting_until_it_is_over():
    known = progress.with_hold(START, "a", 50.0)
    assert known.held_from("b", 49.9)
    assert not known.held_from("a", 49.9)
    assert not known.held_from("b", 50.0)
    assert progress.with_cut(known, Range(1, 2), "b", 60.0).hold is None


def test_what_the_release_before_wrote_is_read():
    settled, cut = (
        progress.decode(b'{"origin":"x","range":{"first":5,"last":9},"inserted":%s}' % known)
        for known in (b"true", b"false")
    )
    assert (settled.cut, settled.ingested, settled.open) == (9, 9, ())
    assert (cut.cut, cut.ingested, cut.open) == (9, 4, (Open(range=Range(5, 9)),))
    assert cut.token(cut.range) == "x:5-9"
    assert cut.lapsed(0.0) is not None, "its owner is unknown"


class EarlierProgress(msgspec.Struct):
    """As the release 0.1 reads it."""

    origin: str
    range: Range
    inserted: bool


def test_the_release_before_reads_what_one_ingester_wrote():
    cut = progress.with_cut(START, Range(1, 7), "a", 1.0)
    for known, inserted in ((cut, False), (progress.without(cut, Range(1, 7)), True)):
        earlier = msgspec.json.decode(progress.encode(known), type=EarlierProgress)
        assert (earlier.origin, earlier.range, earlier.inserted) == ("x", Range(1, 7), inserted)


@pytest.fixture
async def bucket(memory_bus):
    return await memory_bus.bucket(streams.INGEST)


async def test_a_change_is_made_to_what_others_wrote_meanwhile(bucket):
    mine, other = Book(bucket), Book(bucket)
    await other.write(START)
    assert await mine.change(lambda known: progress.with_hold(known, "a", 9.0))
    assert mine.progress.origin == "x"
    assert (await other.read()).hold is not None


async def test_a_change_that_has_lost_its_reason_is_not_made(bucket):
    mine, other = Book(bucket), Book(bucket)
    await other.write(progress.with_cut(START, Range(1, 7), "a", 1.0))
    assert not await mine.change(lambda known: progress.beginning() if known.cut == 0 else None)
    assert mine.progress.cut == 7


async def test_a_deleted_entry_is_written_anew(bucket):
    book = Book(bucket)
    await book.write(START)
    await bucket.delete("events")
    assert (await book.read()) == START
    assert await book.change(lambda known: progress.with_hold(known, "a", 1.0))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=40))
def test_whatever_the_order_each_range_is_open_until_it_is_settled(steps):
    known, settled = START, set()
    for owner, chosen in steps:
        if chosen == 0 or not known.open:
            known = progress.with_cut(known, Range(known.cut + 1, known.cut + owner + 1), str(owner), 1.0)
        elif chosen == 1:
            known = progress.with_owner(known, known.open[0].range, str(owner), 2.0)
        else:
            done = known.open[chosen % len(known.open)].range
            settled.update(range(done.first, done.last + 1))
            known = progress.without(known, done)
        still_open = {number for one in known.open for number in range(one.range.first, one.range.last + 1)}
        assert settled | still_open == set(range(1, known.cut + 1))
        assert not settled & still_open
        assert set(range(1, known.ingested + 1)) <= settled
        assert progress.decode(progress.encode(known)) == known
