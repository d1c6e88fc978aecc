from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import ids, plans
from producer.errors import KeyUnusable
from producer.recipients import blob
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.recipients.seen import Seen
from producer.splitter import Batch, Beginning, Counts, split

ROW = st.builds(
    Recipient, st.from_regex(r"[abAB]{1,3}@x\.de", fullmatch=True), st.just("other"), st.just(False), st.just(("v",))
)
BAD = st.builds(Rejected, st.integers(1, 9), st.just("reason"), st.just("row"))


def cut(rows, batch_size: int = 3) -> tuple[list[Batch], Counts, list[Rejected]]:
    counts, rejected = Counts(), []
    return list(split("sale", rows, counts, rejected.append, batch_size)), counts, rejected


@given(st.lists(ROW | BAD, max_size=60), st.integers(1, 7))
def test_everybody_is_planned_once_in_order_and_every_row_is_counted(
    rows: list[Recipient | Rejected], size: int
) -> None:
    batches, counts, rejected = cut(rows, size)
    first = {row.identity: row for row in reversed(rows) if isinstance(row, Recipient)}
    expected = list(dict.fromkeys(first[r.identity] for r in rows if isinstance(r, Recipient)))
    assert [row for batch in batches for row in blob.decode(batch.recipients)] == expected
    assert [mail for batch in batches for mail in plans.decode(batch.mail_ids)] == [
        ids.mail_id("sale", row.identity) for row in expected
    ]
    assert counts.planned == sum(batch.planned for batch in batches) == len(expected)
    assert counts.rows == len(rows)
    assert rejected == [row for row in rows if isinstance(row, Rejected)]


@given(st.lists(ROW, max_size=40), st.integers(1, 7))
def test_batches_are_full_but_for_the_last_and_never_empty(rows: list[Recipient], size: int) -> None:
    batches, _, _ = cut(rows, size)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert all(batch.planned == size for batch in batches[:-1])
    assert all(0 < batch.planned <= size for batch in batches)


@given(st.lists(ROW | BAD, max_size=40))
def test_the_same_audience_gives_the_same_bytes(rows: list[Recipient | Rejected]) -> None:
    assert cut(rows)[0] == cut(rows)[0]


def test_long_rows_make_smaller_batches() -> None:
    rows = [Recipient(f"p{n}@x.de", "other", False, ("x" * (1 << 20),)) for n in range(40)]
    batches, counts, _ = cut(rows, 50_000)
    assert [batch.planned for batch in batches] == [16, 16, 8]
    assert counts.planned == 40


class Keyed:
    """Rows with keys, as a query gives them; `place` is the key of the row given last."""

    def __init__(self, rows) -> None:
        self._rows = rows
        self._key = None

    def place(self):
        return self._key

    def __iter__(self):
        for key, row in self._rows:
            self._key = key
            yield row


def cut_keyed(rows, size: int, counts: Counts, beginning: Beginning | None = None) -> list[Batch]:
    keyed = Keyed(rows)
    return list(split("sale", keyed, counts, lambda _: None, size, keyed.place, beginning))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 12), ROW | BAD), max_size=40), st.integers(1, 7))
def test_a_query_is_cut_between_keys_and_can_be_gone_on_with_behind_each_batch(rows, size: int) -> None:
    rows.sort(key=lambda row: row[0])
    whole = Counts()
    batches = cut_keyed(rows, size, whole)
    for at, batch in enumerate(batches):
        assert batch.end is not None
        behind = [] if batch.end.key is None else [row for row in rows if row[0] > batch.end.key]
        seen, planned = Seen(), 0
        for before in batches[: at + 1]:
            planned += before.planned
            for digest in range(0, len(before.mail_ids), 10):
                seen.add(before.mail_ids[digest : digest + 10])
        counts = Counts()
        counts.go_on(planned, batch.end)
        assert cut_keyed(behind, size, counts, Beginning(batch.number, seen)) == batches[at + 1 :]
        assert (counts.planned, counts.duplicates, counts.rejected) == (
            whole.planned,
            whole.duplicates,
            whole.rejected,
        )


def test_rows_that_share_a_key_share_a_batch() -> None:
    rows = [(key, Recipient(f"p{n}@x.de", "other", False, ())) for n, key in enumerate([1, 2, 2, 2, 2, 3])]
    assert [(batch.planned, batch.end.key) for batch in cut_keyed(rows, 2, Counts())] == [(5, 2), (1, None)]


def test_a_key_that_tells_no_rows_apart_is_refused() -> None:
    rows = [("same", Recipient(f"p{n}@x.de", "other", False, ())) for n in range(10_005)]
    with pytest.raises(KeyUnusable, match="Thousands of rows have the key 'same'"):
        cut_keyed(rows, 2, Counts())
