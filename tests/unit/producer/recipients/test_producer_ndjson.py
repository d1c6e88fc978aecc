from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.recipients.ndjson_reader import NdjsonReader
from producer.recipients.rows import ABSENT, Rejected, Row


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes, *wanted: str) -> list[Row | Rejected]:
        path = tmp_path / "audience.ndjson"
        path.write_bytes(content)
        reader = NdjsonReader(path)
        rows = list(reader.rows("email", wanted))
        reader.close()
        return rows

    return read_bytes


def test_values_keep_their_types_and_absent_ones_are_told_from_empty_ones(read) -> None:
    rows = read(b'{"email":"a@x.de","n":1,"l":["x",{"y":null}]}\n\n{"email":"b@x.de","n":""}\n', "n", "l")
    assert rows == [Row(1, "a@x.de", (1, ["x", {"y": None}])), Row(3, "b@x.de", ("", ABSENT))]


def test_integers_beyond_64_bits_become_text(read) -> None:
    assert read(b'{"email":"a@x.de","n":123456789012345678901}', "n") == [Row(1, "a@x.de", ("123456789012345678901",))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"email":', "not JSON"),
        (b'["a@x.de"]', "not a JSON object"),
        (b'{"email":"a@x.de","n":"\xff"}', "no UTF-8"),
        (b'{"email":"a@x.de","n":"\\ud800"}', "not JSON"),
        (b'{"email":"a@x.de","n":"\\u0000"}', "NUL"),
        (b'{"email":"a@x.de","n":' + b"[" * 30 + b"]" * 30 + b"}", "deep"),
        (b'{"email":"a@x.de","n":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
        (b'{"email":"a@x.de","n":"' + b"x" * 3_000_000 + b'"}', "longer than"),
    ],
)
def test_a_broken_line_is_rejected_and_its_neighbours_are_read(read, line: bytes, reason: str) -> None:
    before, broken, after = read(b'{"email":"1","n":1}\n' + line + b'\n{"email":"3","n":3}', "n")
    assert (before, after) == (Row(1, "1", (1,)), Row(3, "3", (3,)))
    assert isinstance(broken, Rejected)
    assert broken.line == 2
    assert reason in broken.reason


def test_columns_are_those_of_the_first_hundred_rows(tmp_path) -> None:
    path = tmp_path / "audience.ndjson"
    path.write_text("".join(json.dumps({"email": "", f"column{n}": 1}) + "\n" for n in range(150)))
    reader = NdjsonReader(path)
    reader.close()
    assert reader.columns == ("email", *(f"column{n}" for n in range(100)))


@given(
    st.lists(st.binary(max_size=60) | st.from_regex(rb'\{("a":[0-9"\[\]{}]{0,5},?){0,3}\}', fullmatch=True), max_size=5)
)
def test_no_content_raises(tmp_path_factory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("ndjson") / "audience.ndjson"
    path.write_bytes(b"\n".join(lines))
    reader = NdjsonReader(path)
    assert all(isinstance(row, Row | Rejected) for row in reader.rows("email", ["a"]))
    reader.close()
