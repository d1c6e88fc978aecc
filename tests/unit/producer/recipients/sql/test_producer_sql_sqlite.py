"""Audiences in SQLite, read through ADBC: values as in files, places to go on from, mistakes in its own words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import adbc_driver_sqlite
import pytest

from producer.errors import AudienceUnreadable, DatabaseFileUnusable, DatabaseUnreachable, KeyUnusable, QueryFailed
from producer.recipients import audience
from producer.recipients.audience import Projection, Reading
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.looking import Size, size_of
from producer.settings import Database


@pytest.fixture
def database(tmp_path) -> Path:
    return tmp_path / "crm.db"


def fill(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def people(database: Path, query: str = "SELECT * FROM people", key: str = "id") -> SqlAudience:
    return SqlAudience("crm", Database(url=str(database)), query, key)


def read(source: SqlAudience, *columns: str, after=None) -> list[Recipient | Rejected]:
    return list(Reading(source, Projection("email", columns, (None,) * len(columns)), after=after))


def test_rows_come_in_the_order_of_their_keys(database) -> None:
    fill(
        database,
        "CREATE TABLE people (id, email, name)",
        "INSERT INTO people VALUES (2, 'b@x.de', 'B'), (1, 'a@x.de', 'A')",
    )
    assert read(people(database), "name") == [
        Recipient("a@x.de", "other", False, ("A",)),
        Recipient("b@x.de", "other", False, ("B",)),
    ]
    assert audience.columns(people(database)) == ("id", "email", "name")


def test_a_column_may_hold_nothing_for_long_and_then_anything(database) -> None:
    fill(
        database,
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, any)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
        " INSERT INTO people SELECT i, 'p' || i || '@x.de', NULL FROM n",
        "UPDATE people SET any = 'text' WHERE id = 24998",
        "UPDATE people SET any = 2.5 WHERE id = 24999",
        "UPDATE people SET any = 7 WHERE id = 25000",
    )
    rows = read(people(database), "any")
    assert len(rows) == 25_000
    assert [row.values for row in rows[-4:]] == [("",), ("text",), (2.5,), (7,)]


def test_binary_data_costs_its_row_only(database) -> None:
    fill(
        database,
        "CREATE TABLE people (id, email, b)",
        "INSERT INTO people VALUES (7, 'a@x.de', x'00ff'), (8, 'b@x.de', 'b')",
    )
    rejected, fine = read(people(database), "b")
    assert rejected == Rejected(7, "A column that is used holds binary data.", "a@x.de, (unreadable)")
    assert fine.values == ("b",)


def test_bad_rows_are_rejected_with_their_key(database) -> None:
    fill(
        database,
        "CREATE TABLE people (id, email)",
        "INSERT INTO people VALUES ('k1', 'nobody'), ('k2', NULL), (NULL, 'x@x.de')",
    )
    assert [(row.line, row.reason) for row in read(people(database))] == [
        ("", 'Its key "id" is empty: rows are read in the order of their keys.'),
        ("k1", "An email address must have an @-sign."),
        ("k2", "There is no address."),
    ]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("INTEGER PRIMARY KEY", [-3, 1, 2, 10, 2**62]),
        ("TEXT COLLATE NOCASE", ["A", "B", "a", "b", "Ä"]),
        ("TEXT", ["", "'", "10", "9", "ä", "\U0001f600"]),
        ("", [1, 2, "1", "a"]),
    ],
)
def test_a_reading_goes_on_behind_any_key(database, kind: str, keys: list[int | str]) -> None:
    fill(database, f"CREATE TABLE people (id {kind}, email)")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO people VALUES (?, ?)", [(k, f"p{n}@x.de") for n, k in enumerate(keys)])
    reading = Reading(people(database), Projection("email"))
    places = [(reading.place(), row.address) for row in reading]
    assert [place for place, _ in places] == keys
    for at, (place, _) in enumerate(places):
        assert [row.address for row in read(people(database), after=place)] == [email for _, email in places[at + 1 :]]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELEC id FROM people", 'SQLite says: near "FROM": syntax error.'),
        ("SELECT nobody FROM people", "SQLite says: no such column: nobody."),
        ("DELETE FROM people", 'SQLite says: near "DELETE": syntax error.'),
    ],
)
def test_a_query_that_fails_is_told_in_the_words_of_the_database(database, query: str, message: str) -> None:
    fill(database, "CREATE TABLE people (id, email)", "INSERT INTO people VALUES (1, 'a@x.de')")
    with pytest.raises(QueryFailed) as caught:
        read(people(database, query))
    assert str(caught.value).startswith(message)
    assert len(read(people(database))) == 1


def test_nothing_can_be_written_even_by_a_query_that_breaks_out(database) -> None:
    fill(database, "CREATE TABLE people (id, email)", "INSERT INTO people VALUES (1, 'a@x.de')")
    read(people(database, "SELECT * FROM people) AS q; DELETE FROM people; SELECT (1"))
    assert len(read(people(database))) == 1


def test_a_key_that_is_no_column_is_told(database) -> None:
    fill(database, "CREATE TABLE people (number, email)")
    with pytest.raises(KeyUnusable, match='no column "id"'):
        audience.columns(people(database))


def test_a_file_that_is_not_there_is_not_made(database) -> None:
    with pytest.raises(DatabaseFileUnusable, match=f"'crm' does not exist: {database}"):
        audience.columns(people(database))
    assert not database.exists()


def test_a_file_that_is_not_there_is_named_in_full(database, monkeypatch) -> None:
    monkeypatch.chdir(database.parent)
    source = SqlAudience("crm", Database(url="sqlite:///crm.db"), "SELECT 1 AS id", "id")
    with pytest.raises(DatabaseFileUnusable, match=str(database)):
        audience.columns(source)


def test_a_folder_is_no_database(database) -> None:
    database.mkdir()
    with pytest.raises(DatabaseFileUnusable, match=f"cannot be read: {database}: Is a directory"):
        audience.columns(people(database))


def test_a_column_that_went_away_since_the_check_is_named(database) -> None:
    fill(database, "CREATE TABLE people (id, email)")
    with pytest.raises(AudienceUnreadable, match="no column 'city' any more"):
        read(people(database), "city")


def test_a_look_takes_some_rows_and_counts_all(database) -> None:
    fill(
        database,
        "CREATE TABLE people (id, email)",
        "INSERT INTO people VALUES (1, 'a@x.de'), (2, 'b@x.de'), (3, 'c@x.de')",
    )
    assert len(audience.look(people(database), Projection("email"), 2)) == 2
    assert size_of(people(database)) == Size(3, exact=True)
    assert str(Size(5_000_000, exact=True)) == "5,000,000 rows"
    assert str(Size(5_000_000, exact=False)) == "about 5,000,000 rows, as the database expects"


def test_any_driver_that_the_manager_finds_may_be_named(database) -> None:
    fill(
        database,
        "CREATE TABLE people (id INTEGER, email TEXT)",
        "INSERT INTO people VALUES (1, 'a@x.de'), (2, 'b@x.de')",
    )
    other = Database(url=f"file:{database}?mode=ro", driver=adbc_driver_sqlite._driver_path())
    source = SqlAudience("other", other, "SELECT * FROM people", "id")
    assert [row.address for row in Reading(source, Projection("email"), after=1)] == ["b@x.de"]
    assert size_of(source) is None


def test_a_driver_that_is_not_there_is_told(database) -> None:
    source = SqlAudience("other", Database(url="x://y", driver="no_such_driver"), "SELECT 1 AS id", "id")
    with pytest.raises(DatabaseUnreachable, match="no_such_driver"):
        audience.columns(source)
