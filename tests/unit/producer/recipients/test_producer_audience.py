from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from producer.errors import AudienceUnreadable
from producer.recipients import audience
from producer.recipients.audience import AudienceFile, Projection
from producer.recipients.opening import require_whole
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected

PEOPLE = [{"email": f"p{n}@example.com", "name": f"Name {n}"} for n in range(1_000)]


def write(path: Path, people=PEOPLE) -> AudienceFile:
    format_, compression = audience.format_of(path)
    match format_:
        case "csv":
            data = "".join(
                f"{line}\n" for line in ["email,name", *(f"{p['email']},{p['name']}" for p in people)]
            ).encode()
        case "ndjson":
            data = "".join(json.dumps(person) + "\n" for person in people).encode()
        case _:
            sink = pa.BufferOutputStream()
            parquet.write_table(pa.Table.from_pylist(people), sink)
            data = sink.getvalue().to_pybytes()
    packed = {"": bytes, "gz": gzip.compress, "zst": zstandard.compress}[compression](data)
    path.write_bytes(packed)
    return AudienceFile(path, format_, compression)


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("format_", ["csv", "ndjson", "parquet"])
def test_every_format_gives_the_same_recipients(tmp_path, format_: str, compression: str) -> None:
    file = write(tmp_path / f"audience.{format_}{compression}")
    rows = list(audience.read(file, Projection("email", ("name",), (None,))))
    assert rows == [Recipient(p["email"], "other", False, (p["name"],)) for p in PEOPLE]
    assert audience.columns(file) == ("email", "name")


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_compressed_file_that_was_cut_short_is_noticed(tmp_path, compression: str) -> None:
    file = write(tmp_path / f"audience.csv{compression}")
    file.path.write_bytes(file.path.read_bytes()[:-20])
    with pytest.raises(AudienceUnreadable, match="cut short"):
        require_whole(file.path, file.compression)
    with pytest.raises(AudienceUnreadable, match="cut short"):
        list(audience.read(file, Projection("email")))


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_several_compressed_parts_in_one_file_are_read_on(tmp_path, compression: str) -> None:
    file = write(tmp_path / f"audience.ndjson{compression}")
    file.path.write_bytes(file.path.read_bytes() * 3)
    assert len(list(audience.read(file, Projection("email")))) == 3_000


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name: str) -> None:
    (tmp_path / name).write_bytes(b"email\nann@example.com\n" * 100)
    format_, compression = audience.format_of(tmp_path / name)
    with pytest.raises(AudienceUnreadable):
        audience.columns(AudienceFile(tmp_path / name, format_, compression))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_column_that_went_away_since_the_check_is_named(tmp_path, name: str) -> None:
    file = write(tmp_path / name)
    with pytest.raises(AudienceUnreadable, match="no column 'city' any more"):
        list(audience.read(file, Projection("email", ("city",), (None,))))


def test_values_of_parquet_become_json_types(tmp_path) -> None:
    day = datetime.date(2026, 1, 31)
    file = write(tmp_path / "a.parquet", [{"email": "a@x.de", "day": day, "n": 2**40, "tags": ["x"]}])
    (row,) = audience.read(file, Projection("email", ("day", "n", "tags"), (None, None, None)))
    assert row.values == ("2026-01-31", 2**40, ["x"])


def rows_of(tmp_path, people, projection: Projection) -> list[Recipient | Rejected]:
    return list(audience.read(write(tmp_path / "a.ndjson", people), projection))


def test_defaults_stand_where_a_row_has_nothing(tmp_path) -> None:
    people = [
        {"email": "a@x.de", "n": ""},
        {"email": "b@x.de", "n": None},
        {"email": "c@x.de"},
        {"email": "d@x.de", "n": 0},
    ]
    rows = rows_of(tmp_path, people, Projection("email", ("n",), ("default",)))
    assert [row.values for row in rows] == [("default",), ("default",), ("default",), (0,)]


def test_without_a_default_empty_stays_empty_and_absent_is_rejected(tmp_path) -> None:
    people = [{"email": "a@x.de", "n": ""}, {"email": "b@x.de", "n": None}, {"email": "c@x.de"}]
    empty, null, absent = rows_of(tmp_path, people, Projection("email", ("n",), (None,)))
    assert (empty.values, null.values) == (("",), ("",))
    assert absent == Rejected(3, 'The row has no value for "n", and there is no default for it.', '{"email": "c@x.de"}')


@pytest.mark.parametrize("address", [None, 42, "", "not an address", "a@b"])
def test_a_row_without_a_usable_address_is_rejected_with_the_reason(tmp_path, address: object) -> None:
    rejected, fine = rows_of(tmp_path, [{"email": address}, {"email": "a@x.de"}], Projection("email"))
    assert isinstance(rejected, Rejected)
    assert isinstance(fine, Recipient)


def test_constants_follow_the_values_of_the_columns(tmp_path) -> None:
    (row,) = rows_of(tmp_path, [{"email": "a@x.de", "n": 1}], Projection("email", ("n",), (None,), ("c",)))
    assert row.values == (1, "c")


@pytest.mark.parametrize(
    ("variable", "column"), [("First name", "First name"), ("first_name", "First name"), ("city", None)]
)
def test_a_variable_finds_the_column_that_reads_like_it(variable: str, column: str | None) -> None:
    assert audience.find_column(variable, ["E-Mail", "First name"]) == column


def test_the_column_of_addresses_is_found_by_its_usual_names() -> None:
    assert audience.find_address_column(["Name", "E-Mail"]) == "E-Mail"
    assert audience.find_address_column(["Name"]) is None
