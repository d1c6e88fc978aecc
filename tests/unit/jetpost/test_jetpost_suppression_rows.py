"""What an export of the suppression list writes, an import reads; and what ESPs export."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.suppression import PLAIN, REASONS, Entry, Hashing
from jetpost.suppression_rows import COLUMNS, Columns, Defaults, WrongCell, cells, read
from producer.recipients.csv_reader import CsvReader
from producer.recipients.rows import Rejected

NOW = 1_800_000_000
DEFAULTS = Defaults("", "manual", "a test", NOW, None)
KEYED = Hashing("correct horse battery staple")


def imported(path, defaults=DEFAULTS, hashing=PLAIN, column=None):
    reader = CsvReader(path)
    try:
        return list(read(reader, Columns.of(reader.columns, column), defaults, hashing))
    finally:
        reader.close()


@pytest.fixture
def write(tmp_path):
    def write_rows(*rows, header=COLUMNS):
        path = tmp_path / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return path

    return write_rows


ENTRIES = st.builds(
    Entry,
    st.sampled_from(("ann@example.com", "Bob.O'Neil@example.org", "zoë@bücher.example")).map(
        lambda one: one.replace("bücher", "xn--bcher-kva")
    ),
    st.sampled_from(REASONS),
    st.integers(1_000_000_000, 4_000_000_000),
    st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=20).map(str.strip).filter(bool),
    list=st.sampled_from(("", "news", "weekly-offers")),
    expires_at=st.none() | st.integers(1_000_000_000, 4_000_000_000),
    key=st.just(b""),
    replaces=st.just(False),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ENTRIES, min_size=1, max_size=8))
def test_an_export_is_read_as_it_was_written(write, entries):
    assert imported(write(*(cells(entry, PLAIN) for entry in entries))) == entries


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ENTRIES, min_size=1, max_size=8))
def test_an_export_of_hashes_is_read_by_whoever_has_the_secret_and_by_nobody_else(write, entries):
    hashed = [entry._replace(address="", key=KEYED.key(entry.address)) for entry in entries]
    path = write(*(cells(entry, KEYED) for entry in hashed))
    assert imported(path, hashing=KEYED) == hashed
    assert all(isinstance(row, Rejected) and "another" in row.reason for row in imported(path))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("Hard Bounce", "hard_bounce"),
        ("HardBounce", "hard_bounce"),
        ("BOUNCE", "hard_bounce"),
        ("Spam Report", "complaint"),
        ("SpamComplaint", "complaint"),
        ("Unsubscribed", "unsubscribe"),
        ("opt-out", "unsubscribe"),
        ("ManualSuppression", "manual"),
        ("", "manual"),
    ],
)
def test_the_words_of_esps_are_understood(write, word, reason):
    (entry,) = imported(write(("ann@example.com", word), header=("Email", "Reason")))
    assert entry == Entry("ann@example.com", reason, NOW, "a test")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-15", 1_799_971_200),
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("2027-01-15 09:00:00+01:00", 1_800_000_000),
        ("1800000000", 1_800_000_000),
        ("1800000000.5", 1_800_000_000.5),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(write, text, at):
    (entry,) = imported(write(("ann@example.com", text), header=("address", "added_at")))
    assert entry.at == at


def test_options_stand_where_a_row_says_nothing(write):
    defaults = Defaults("news", "unsubscribe", "a file", NOW, NOW + 60)
    (entry,) = imported(write(("ann@example.com",), header=("Contact",)), defaults, column="Contact")
    assert entry == Entry("ann@example.com", "unsubscribe", NOW, "a file", "news", NOW + 60)


@pytest.mark.parametrize("column", [None, "Mail address"])
def test_a_file_without_such_a_column_is_refused_with_those_it_has(write, column):
    with pytest.raises(WrongCell, match=r"Name, City.*--column"):
        imported(write(("Ann", "Oslo"), header=("Name", "City")), column=column)
