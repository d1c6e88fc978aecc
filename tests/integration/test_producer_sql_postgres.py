"""Audiences in a real PostgreSQL: values as from files, keys of every kind, a snapshot, mistakes in its own words."""

from __future__ import annotations

import datetime
import threading
import time
from decimal import Decimal

import databases
import pyarrow as pa
import pytest
from process_watching import until
from pyarrow import parquet

from producer.campaign.check import check
from producer.errors import DatabaseUnreachable, KeyUnusable, QueryFailed
from producer.recipients import audience
from producer.recipients.audience import AudienceFile, Projection, Reading
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.looking import size_of
from producer.recipients.sql.reader import SqlReader
from producer.settings import Database, ProducerSettings

UTC = datetime.UTC


@pytest.fixture
def crm(postgres):
    return Database(url=postgres.url, check_seconds=5)


def query(crm: Database, text: str = "SELECT * FROM people", key: str = "id") -> SqlAudience:
    return SqlAudience("crm", crm, text, key)


def read(source: SqlAudience, *columns: str, after=None) -> list:
    return list(Reading(source, Projection("email", columns, (None,) * len(columns)), after=after))


def test_values_are_those_of_a_parquet_file_with_the_same(crm, tmp_path) -> None:
    literals = {
        "t": ("'Ådne'::text", "Ådne"),
        "v": ("'Åse'::varchar(9)", "Åse"),
        "i2": ("7::smallint", 7),
        "i8": ("9007199254740993::bigint", 2**53 + 1),
        "f": ("1.5::float8", 1.5),
        "n": ("12.50::numeric(9,2)", Decimal("12.50")),
        "b": ("true", True),
        "d": ("date '2026-01-31'", datetime.date(2026, 1, 31)),
        "ts": ("timestamp '2026-01-31 12:00:00.5'", datetime.datetime(2026, 1, 31, 12, 0, 0, 500_000)),  # noqa: DTZ001
        "tz": ("timestamptz '2026-01-31 12:00+02'", datetime.datetime(2026, 1, 31, 10, tzinfo=UTC)),
        "tm": ("time '10:30'", datetime.time(10, 30)),
        "l": ("ARRAY['x', 'y']", ["x", "y"]),
        "empty": ("NULL::text", None),
    }
    row = {"email": "a@x.de"} | {name: value for name, (_, value) in literals.items()}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    projection = Projection("email", tuple(literals), (None,) * len(literals))
    (from_file,) = Reading(AudienceFile(tmp_path / "a.parquet", "parquet"), projection)
    columns = ", ".join(f"{literal} AS {name}" for name, (literal, _) in literals.items())
    (from_query,) = Reading(query(crm, f"SELECT 1 AS id, 'a@x.de' AS email, {columns}"), projection)
    assert from_query == from_file


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("""'{"colours": ["red", null]}'::jsonb""", {"colours": ["red", None]}),
        ("'[1, 2.5]'::json", [1, 2.5]),
        ("'5ba9fc34-73b6-4ff2-a1e5-9f1a0cbb0cd5'::uuid", "5ba9fc34-73b6-4ff2-a1e5-9f1a0cbb0cd5"),
        ("'10.0.0.1'::inet", "10.0.0.1/32"),
        ("interval '1 day 2 hours'", "1 day 02:00:00"),
        ("3.5::money", "$3.50"),
        ("ARRAY['10.0.0.1']::inet[]", "{10.0.0.1}"),
        ("int4range(1, 5)", "[1,5)"),
    ],
)
def test_types_that_files_have_not_are_what_a_reader_expects(crm, literal: str, value: object) -> None:
    (row,) = read(query(crm, f"SELECT 1 AS id, 'a@x.de' AS email, {literal} AS v"), "v")
    assert row.values == (value,)


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("'infinity'::timestamptz", "A value is outside of what dates and numbers can hold here."),
        ("'\\x00ff'::bytea", "A column that is used holds binary data."),
    ],
)
def test_a_value_that_no_mail_can_contain_costs_its_row_only(crm, literal: str, reason: str) -> None:
    value = f"CASE WHEN id = 2 THEN {literal} END AS v"
    rows = read(query(crm, f"SELECT id, 'p' || id || '@x.de' AS email, {value} FROM generate_series(1, 3) AS id"), "v")
    assert [getattr(row, "reason", None) for row in rows] == [None, reason, None]
    assert rows[1].line == 2


KEYS = {
    "bigint": ["-5", "1", "9", "10", "9223372036854775807"],
    "numeric": ["-1.5", "0", "1.0", "1.25", "10000000000000000000000"],
    "uuid": ["00000000-0000-0000-0000-000000000001", "5ba9fc34-73b6-4ff2-a1e5-9f1a0cbb0cd5"],
    "date": ["2026-01-31", "2026-02-01"],
    "timestamp": ["2026-01-31 12:00:00.000001", "2026-01-31 12:00:00.000002"],
    "timestamptz": ["2026-01-31 12:00:00.000001+00", "2026-01-31 12:00:00.000002+00"],
    "text": ["", "'", "10", "9", "A", "\\", "a", "é", "ä", "\U0001f600"],
    "citext": ["a", "A", "b", "B"],
    "char(4)": ["a", "ab", "b"],
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_reading_goes_on_behind_any_key(crm, postgres, kind: str) -> None:
    rows = ", ".join("('{}', 'p{}@x.de')".format(key.replace("'", "''"), n) for n, key in enumerate(KEYS[kind]))
    postgres.execute(
        "CREATE EXTENSION IF NOT EXISTS citext",
        "DROP TABLE IF EXISTS keyed",
        f"CREATE TABLE keyed (id {kind}, email text)",
        f"INSERT INTO keyed VALUES {rows}",
    )
    reading = Reading(query(crm, "SELECT * FROM keyed"), Projection("email"))
    places = [(reading.place(), row.address) for row in reading]
    assert sorted(address for _, address in places) == [f"p{n}@x.de" for n in range(len(KEYS[kind]))]
    for at, (place, _) in enumerate(places):
        behind = read(query(crm, "SELECT * FROM keyed"), after=place)
        assert [row.address for row in behind] == [address for _, address in places[at + 1 :]], place


@pytest.mark.parametrize("kind", ["float8", "boolean", "interval", "jsonb"])
def test_a_key_that_cannot_be_gone_on_behind_is_refused(crm, kind: str) -> None:
    with pytest.raises(KeyUnusable, match=r'"id" is of the type .*A key is a whole or decimal number'):
        audience.columns(query(crm, f"SELECT NULL::{kind} AS id, 'a@x.de' AS email"))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, email FROM indexed WHERE email LIKE 'p%'",
        "SELECT i.id, min(i.email) AS email FROM indexed AS i JOIN indexed AS o ON o.email = i.email GROUP BY i.id",
    ],
)
def test_an_index_serves_for_going_on(crm, postgres, text: str) -> None:
    """Otherwise the database would compute the part before, every time."""
    postgres.execute(
        "DROP TABLE IF EXISTS indexed",
        "CREATE TABLE indexed (id text PRIMARY KEY, email text)",
        "INSERT INTO indexed SELECT 'k' || n, 'p' || n || '@x.de' FROM generate_series(1, 20000) AS n",
        "ANALYZE indexed",
    )
    reading = SqlReader(query(crm, text), after="k9998")
    statement, _ = reading.statements("email", ())
    reading.close()
    plan = "\n".join(line for (line,) in postgres.execute(f"EXPLAIN {statement}"))
    assert "Index Cond: (id > 'k9998'::text)" in plan


def test_rows_without_a_key_are_told_in_every_run(crm) -> None:
    source = query(crm, "SELECT nullif(n, 3) AS id, 'p' || n || '@x.de' AS email FROM generate_series(1, 4) AS n")
    assert [getattr(row, "line", "-") for row in read(source)] == ["-", "-", "-", ""]
    assert [getattr(row, "line", "-") for row in read(source, after=2)] == ["-", ""]


def test_a_reading_sees_one_moment(crm, postgres) -> None:
    postgres.execute(
        "DROP TABLE IF EXISTS moving",
        "CREATE TABLE moving (id int PRIMARY KEY, email text)",
        "INSERT INTO moving SELECT n, 'p' || n || '@x.de' FROM generate_series(1, 100000) AS n",
    )
    rows = iter(Reading(query(crm, "SELECT * FROM moving"), Projection("email")))
    found = [next(rows)]
    postgres.execute("UPDATE moving SET email = 'x' || email", "DELETE FROM moving WHERE id > 90000")
    found += rows
    assert [row.address for row in found] == [f"p{n}@x.de" for n in range(1, 100_001)]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("SELECT id,\n  nobody\nFROM people", 'PostgreSQL says: column "nobody" does not exist.', 2),
        ("SELECT *\nFORM people", 'PostgreSQL says: syntax error at or near "FORM".', 2),
        ("SELECT * FROM no_table", 'PostgreSQL says: relation "no_table" does not exist.', 1),
        ("DELETE FROM people", 'PostgreSQL says: syntax error at or near "FROM".', 1),
        ("SELECT 1 AS id, 'a@x.de' AS email) AS q; DELETE FROM people; SELECT (1", "PostgreSQL says: ", None),
        (
            "SELECT n AS id, (1 / (n - 2))::text AS email FROM generate_series(1, 9) AS n",
            "PostgreSQL says: division",
            None,
        ),
        ("SELECT lo_create(0)::int8 AS id, 'a@x.de' AS email", "PostgreSQL says: cannot execute lo_create()", None),
    ],
)
def test_a_query_that_fails_is_told_in_the_words_of_the_database(
    crm, postgres, text: str, message: str, line: int | None
) -> None:
    postgres.execute("CREATE TABLE IF NOT EXISTS people (id int, email text)")
    with pytest.raises(QueryFailed) as caught:
        read(query(crm, text))
    assert str(caught.value).startswith(message)
    assert caught.value.line == line


def test_a_question_of_a_check_has_a_time_limit(crm) -> None:
    impatient = Database(url=crm.url, check_seconds=0.2)
    source = query(impatient, "SELECT 1 AS id, 'a@x.de' AS email, pg_sleep(60)")
    with pytest.raises(QueryFailed, match=r"canceling statement due to statement timeout\. `check_seconds` and"):
        audience.look(source, Projection("email"), 10)


def test_a_snapshot_has_a_time_limit(crm) -> None:
    impatient = Database(url=crm.url, snapshot_seconds=0.2)
    source = query(impatient, "SELECT 1 AS id, 'a@x.de' AS email, pg_sleep(60)")
    with pytest.raises(QueryFailed, match="canceling statement due to statement timeout"):
        read(source)


async def test_whoever_waits_for_a_row_can_be_stopped(crm, postgres) -> None:
    reading = Reading(query(crm, "SELECT 1 AS id, 'a@x.de' AS email, pg_sleep(60)"), Projection("email"))
    ended: list[Exception] = []

    def wait() -> None:
        try:
            list(reading)
        except QueryFailed as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'jetpost' AND wait_event = 'PgSleep'"
    await until(lambda: postgres.execute(sleeping))
    began = time.monotonic()
    reading.cancel()
    waiting.join()
    assert "canceling statement due to user request" in str(ended[0])
    assert time.monotonic() - began < 10


def test_rows_are_counted_where_that_is_cheap_and_estimated_elsewhere(crm, postgres) -> None:
    postgres.execute(
        "DROP TABLE IF EXISTS counted",
        "CREATE TABLE counted (id int)",
        "INSERT INTO counted SELECT generate_series(1, 1000)",
        "ANALYZE counted",
    )
    assert str(size_of(query(crm, "SELECT * FROM counted"))) == "1,000 rows"
    slow = query(crm, "SELECT counted.* FROM counted WHERE pg_sleep(id) IS NOT NULL")
    found = size_of(slow)
    assert found is not None
    assert not found.exact


@pytest.mark.parametrize(
    "url", ["postgresql://me:hush@127.0.0.1:1/crm", "postgresql://me@127.0.0.1:1/crm?password=hush"]
)
def test_nobody_learns_the_password_of_a_database_that_does_not_answer(url: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="'crm' cannot be reached: connection to server at") as caught:
        audience.columns(query(Database(url=url)))
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "hush" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("audience_keys", "line", "key"),
    [
        ('query = """\nSELECT id, email\nFROM people\nWHERE nobody > 1"""', 14, "audience.query"),
        ('query = "SELECT nobody FROM people"', 11, "audience.query"),
        ('table = \'people\'\nsegment = """\nid > 1 AND\nnobody > 1\n"""', 14, "audience.segment"),
    ],
)
def test_a_check_points_at_the_line_of_the_campaign_file(
    crm, postgres, tmp_path, audience_keys: str, line: int, key: str
) -> None:
    postgres.execute("CREATE TABLE IF NOT EXISTS people (id int, email text)")
    head = databases.CAMPAIGN.partition("[audience]")[0]
    path = databases.write_campaign(tmp_path, f'{head}[audience]\ndatabase = "crm"\n\n{audience_keys}\n')
    (problem,) = check(path, None, 1_800_000_000.0, ProducerSettings(databases={"crm": crm})).problems
    assert (problem.line, problem.key) == (line, key)
    assert problem.message == 'PostgreSQL says: column "nobody" does not exist.'
