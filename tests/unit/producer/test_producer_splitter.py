from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events import ids, plans
from producer.recipients import blob
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.splitter import Batch, Counts, split

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
