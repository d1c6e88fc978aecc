from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import AudienceUnreadable
from producer.recipients.csv_reader import CsvReader
from producer.recipients.rows import Rejected, Row


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes, encoding: str = "utf-8") -> list[Row | Rejected]:
        path = tmp_path / "audience.csv"
        path.write_bytes(content)
        reader = CsvReader(path, "", encoding)
        rows = list(reader.rows("email", [name for name in reader.columns if name != "email"]))
        reader.close()
        return rows

    return read_bytes


def test_rows_carry_the_line_they_begin_in(read) -> None:
    rows = read(b'email,note\na@x.de,"two\nlines"\n\nb@x.de,one\n')
    assert rows == [Row(2, "a@x.de", ("two\nlines",)), Row(5, "b@x.de", ("one",))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found_in_the_header(read, delimiter: str) -> None:
    assert read(delimiter.join(["email", "a"]).encode() + b"\n" + delimiter.join(["x@y.de", "1"]).encode()) == [
        Row(2, "x@y.de", ("1",))
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252", "latin-1"])
def test_other_encodings_are_read_by_setting(read, encoding: str) -> None:
    assert read("email,name\nx@y.de,Jürgen\n".encode(encoding), encoding) == [Row(2, "x@y.de", ("Jürgen",))]


def test_a_byte_order_mark_is_no_part_of_the_first_column(read) -> None:
    assert read(b"\xef\xbb\xbfemail,a\nx@y.de,1\n") == [Row(2, "x@y.de", ("1",))]


def test_a_row_with_bytes_of_another_encoding_is_rejected_alone(read) -> None:
    good, bad, after = read("email,name\na@x.de,ü\n".encode() + b"b@x.de,J\xfcrgen\n" + "c@x.de,é\n".encode())
    assert isinstance(good, Row)
    assert isinstance(after, Row)
    assert bad == Rejected(3, "The row contains bytes that are no text in the file's encoding.", "b@x.de,J�rgen")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"b@x.de", "has 1 cells; the header has 2"),
        (b"b@x.de,1,2", "has 3 cells"),
        (b"b@x.de,\0", "NUL"),
        (b'b@x.de,"open', "not closed"),
        (b'b@x.de,"a"b', "text after a closing quote"),
        (b"b@x.de," + b"x" * 200_000, "field larger than field limit"),
        (b"b@x.de," + b"x" * 3_000_000, "longer than 1048576 characters"),
    ],
)
def test_a_broken_row_is_rejected_and_its_neighbours_are_read(read, line: bytes, reason: str) -> None:
    before, broken, after = read(b"email,a\na@x.de,1\n" + line + b"\nc@x.de,3\n")
    assert (before, after) == (Row(2, "a@x.de", ("1",)), Row(4, "c@x.de", ("3",)))
    assert isinstance(broken, Rejected)
    assert broken.line == 3
    assert reason in broken.reason


def test_a_quote_that_is_never_closed_costs_its_own_line_only(read) -> None:
    rows = read(b"email,a\n" + b'x@x.de,"open\n' + b"".join(b"p%d@x.de,%d\n" % (n, n) for n in range(500)))
    assert [row.line for row in rows if isinstance(row, Rejected)] == [2]
    assert [row.address for row in rows if isinstance(row, Row)] == [f"p{n}@x.de" for n in range(500)]


def test_a_quote_closed_rows_later_costs_its_own_line_only(read) -> None:
    rows = read(b'email,a\nx@x.de,"open\ny@x.de,2\nz@x.de,"3"\n')
    assert [(type(row), row.line) for row in rows] == [(Rejected, 2), (Row, 3), (Row, 4)]


def test_a_file_without_header_says_what_is_missing(read) -> None:
    with pytest.raises(AudienceUnreadable, match="header row"):
        read(b"\n\n")


def test_a_header_in_another_encoding_names_the_setting(read) -> None:
    with pytest.raises(AudienceUnreadable, match="Set `encoding`"):
        read("email,a\n".encode("utf-16"))


CELL = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=20))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows: list[tuple[str, str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "audience.csv"
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("email", "a", "b"), *rows])
    path.write_bytes(out.getvalue().encode())
    reader = CsvReader(path)
    assert [(row.address, *row.values) for row in reader.rows("email", ["a", "b"])] == rows
    reader.close()


@given(st.binary(max_size=300) | st.text('a",;\n\r\t\0', max_size=100).map(str.encode))
def test_no_content_raises(tmp_path_factory, content: bytes) -> None:
    path = Path(tmp_path_factory.mktemp("csv") / "audience.csv")
    path.write_bytes(b"email,a\n" + content)
    reader = CsvReader(path)
    for row in reader.rows("email", ["a"]):
        assert isinstance(row, Row | Rejected)
        assert row.line > 1
    reader.close()
