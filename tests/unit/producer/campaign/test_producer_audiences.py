"""Audiences that are queries: what a campaign file may say of them, and where mistakes are told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from producer.campaign.check import Checked, check
from producer.campaign.looking import notes
from producer.recipients.recipient import Recipient
from producer.recipients.sql.audience import SqlAudience
from producer.settings import Database, ProducerSettings

CAMPAIGN = """\
name = "Sale"
from = "ann@example.com"
subject = "Hello {{ first_name }}"
html = "mail.html"

[audience]
database = "crm"
"""
QUERY = """\
query = '''
SELECT id, mail AS email, first_name
FROM people
WHERE country = 'DE'
'''
"""


@pytest.fixture
def judge(tmp_path):
    with closing(sqlite3.connect(tmp_path / "crm.db")) as connection, connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, mail, first_name, country)")
        connection.execute(
            "INSERT INTO people VALUES (1, 'a@x.de', 'A', 'DE'), (2, 'b@x.at', 'B', 'AT'), (3, 'c@x.de', 'C', 'DE')"
        )

    def write_and_check(audience: str, campaign: str = CAMPAIGN, **files: str) -> Checked:
        (tmp_path / "campaign.toml").write_text(campaign + audience)
        (tmp_path / "mail.html").write_text("<p>Hello {{ first_name }}</p>")
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        databases = {
            "crm": Database(url=str(tmp_path / "crm.db")),
            "gone": Database(url=str(tmp_path / "no.db")),
            "away": Database(url="postgresql://127.0.0.1:1/crm"),
        }
        return check(tmp_path / "campaign.toml", None, 1_800_000_000.0, ProducerSettings(databases=databases))

    return write_and_check


def told(checked: Checked) -> list[tuple[str, int | None, str, str]]:
    return [(Path(problem.file).name, problem.line, problem.key, problem.message) for problem in checked.problems]


@pytest.mark.parametrize(
    "audience",
    [
        QUERY,
        'query_file = "people.sql"\nkey = "id"',
        "table = 'people'\nsegment = \"country = 'DE' -- only\"\nemail = 'mail'",
    ],
)
def test_a_query_a_file_and_a_table_with_a_segment_give_the_same(judge, audience: str) -> None:
    checked = judge(audience, people_sql="SELECT id, mail AS email, first_name FROM people WHERE country = 'DE';\n")
    assert told(checked) == []
    assert checked.sample == Recipient("a@x.de", "other", False, ("A",))
    assert checked.launchable is not None
    assert isinstance(checked.launchable.audience, SqlAudience)
    assert checked.launchable.audience.key == "id"


def test_an_inline_table_may_hold_the_query(judge) -> None:
    campaign = CAMPAIGN.replace('[audience]\ndatabase = "crm"\n', "")
    assert told(judge('audience = { database = "crm", table = "people", email = "mail" }', campaign)) == []


def test_a_check_tells_the_number_of_rows_the_columns_and_an_example(judge) -> None:
    checked = judge(QUERY)
    assert checked.launchable is not None
    assert notes(checked.launchable) == [
        "The query on the database 'crm': 2 rows; columns id, email, first_name",
        "for example: id = 1, email = a@x.de, first_name = A",
    ]


@pytest.mark.parametrize(
    ("audience", "line", "key", "message"),
    [
        (QUERY.replace("FROM people", "FROM peeple"), 9, "audience.query", "SQLite says: no such table: peeple."),
        ("query = 'SELECT 1 +'", 8, "audience.query", 'SQLite says: near ")": syntax error.'),
        ("table = 'people'\nsegment = 'nobody > 1'", 9, "audience.segment", "SQLite says: no such column: nobody."),
        ("query = 'SELECT mail AS email FROM people'", 6, "audience.key", 'no column "id"'),
        ("table = 'people; DROP TABLE people'", 8, "audience.table", "is no name of a table"),
        ("", 7, "audience.database", "It does not say what to read."),
        ("table = 'people'\nquery = 'SELECT 1'", 7, "audience.database", "There are several queries: query, table."),
        ("query = 'SELECT 1'\nsegment = 'x'", 9, "audience.segment", "A segment belongs to a table."),
        ("query_file = 'none.sql'", 8, "audience.query_file", "cannot be read: No such file or directory."),
        ("table = 'people'\npath = 'a.csv'", 9, "audience.path", "There is no such key."),
    ],
)
def test_mistakes_are_told_where_they_are(judge, audience: str, line: int, key: str, message: str) -> None:
    (problem,) = told(judge(audience))
    assert problem[:3] == ("campaign.toml", line, key)
    assert message in problem[3]


def test_a_mistake_in_a_file_of_its_own_is_told_there(judge) -> None:
    (problem,) = told(judge('query_file = "people.sql"', people_sql="SELECT *\nFROM peeple"))
    assert problem == ("people.sql", 1, "audience.query_file", "SQLite says: no such table: peeple.")


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("crn", 'The settings know no database "crn".', 'Did you mean "crm"?'),
        ("my_crm", "cannot be the name of a database", "lower-case letters, digits and hyphens"),
        ("shop-eu", "know no database", "JETPOST_PRODUCER_DATABASES_SHOP_EU_URL"),
        ("postgresql://me:hush@host/crm", "It is an address", "Put it into the settings"),
        ("away", "cannot be reached", "Check url, user and password in the settings."),
        ("gone", "does not exist", "Check url in the settings; a path that is not absolute"),
    ],
)
def test_a_database_is_named_and_never_an_address(judge, name: str, message: str, fix: str) -> None:
    (problem,) = judge("table = 'people'\nemail = 'mail'", CAMPAIGN.replace("crm", name)).problems
    assert (problem.line, problem.key) == (7, "audience.database")
    assert message in problem.message
    assert fix in problem.fix
    assert "hush" not in str(problem)


def test_bad_rows_are_warned_of_with_their_key(judge) -> None:
    checked = judge("query = '''SELECT id, iif(id = 2, 'nobody', mail) AS email, first_name FROM people'''")
    assert told(checked) == []
    assert "1 of its first 3 rows cannot be used; the first one, with the key 2: " in checked.warnings[0].message
