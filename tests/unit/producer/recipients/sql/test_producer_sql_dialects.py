"""Statements around the user's query: what orders and what compares is the same, and the query stays as it was."""

from __future__ import annotations

import pytest

from producer.recipients.sql import dialects
from producer.recipients.sql.dialects import Column, Dialect, PostgreSql, Sqlite

QUERY = "SELECT id, email -- whom\nFROM people -- all"


def test_the_query_is_wrapped_and_a_comment_at_its_end_hides_nothing() -> None:
    statement = dialects.rows(QUERY, ['q."id"', 'q."email"'], order='q."id"', after="'17'")
    assert statement.splitlines() == [
        'SELECT q."id", q."email" FROM (',
        "SELECT id, email -- whom",
        "FROM people -- all",
        """) AS q WHERE q."id" > '17' ORDER BY q."id\"""",
    ]


def test_a_segment_begins_on_line_two() -> None:
    assert dialects.of_table("crm.people", "a OR b -- c").splitlines() == [
        "SELECT * FROM crm.people WHERE (",
        "a OR b -- c",
        ")",
    ]
    assert dialects.of_table("people", "") == "SELECT * FROM people"


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT 1;", "SELECT 1 ; ;\n", "SELECT 1;\n\n"])
def test_semicolons_at_the_end_of_a_query_are_taken_off(text: str) -> None:
    assert dialects.tidied(text) == "SELECT 1" or dialects.tidied(text) == "SELECT 1 ;"


@pytest.mark.parametrize(
    ("column", "expression"),
    [
        (Column("id", "int8"), 'q."id"'),
        (Column("tags", "_text"), 'q."tags"'),
        (Column("ip", "inet"), 'q."ip"::text'),
        (Column("ips", "_inet"), 'q."ips"::text'),
        (Column("u", "uuid"), 'q."u"::text'),
        (Column('od"d', "text"), 'q."od""d"'),
    ],
)
def test_postgresql_writes_what_adbc_does_not_know_as_text(column: Column, expression: str) -> None:
    assert PostgreSql().column(column) == expression


@pytest.mark.parametrize(
    ("type_", "distinct", "order"),
    [
        ("int8", True, 'q."k"'),
        ("uuid", True, 'q."k"'),
        ("text", True, 'q."k"'),
        ("text", False, 'q."k"::text COLLATE "C"'),
        ("citext", True, 'q."k"::text COLLATE "C"'),
    ],
)
def test_postgresql_orders_keys_so_that_different_ones_are_never_equal(type_: str, distinct: bool, order: str) -> None:
    assert PostgreSql().order(Column("k", type_), distinct=distinct) == order


@pytest.mark.parametrize(
    "type_", ["int2", "int8", "numeric", "text", "bpchar", "citext", "uuid", "date", "timestamptz"]
)
def test_postgresql_takes_keys_whose_text_says_all(type_: str) -> None:
    assert PostgreSql().key_problem(Column("k", type_)) == ""


@pytest.mark.parametrize("type_", ["float8", "bool", "jsonb", "bytea", "interval", "_int4"])
def test_postgresql_refuses_other_keys(type_: str) -> None:
    assert f"is of the type {type_}" in PostgreSql().key_problem(Column("k", type_))


def test_only_text_is_asked_for_its_collation() -> None:
    assert PostgreSql().collation_question(QUERY, Column("k", "int4")) == ""
    assert "pg_collation_for" in PostgreSql().collation_question(QUERY, Column("k", "varchar"))


@pytest.mark.parametrize(
    ("dialect", "key", "literal"),
    [
        (PostgreSql(), 17, "'17'"),
        (PostgreSql(), "O'Hara \\", "'O''Hara \\'"),
        (Sqlite(), 17, "17"),
        (Sqlite(), "O'Hara", "'O''Hara'"),
        (Dialect(), 17, "17"),
    ],
)
def test_a_key_is_written_so_that_it_compares_with_its_column(dialect: Dialect, key: int | str, literal: str) -> None:
    assert dialect.literal(key) == literal


def test_any_other_database_has_whole_numbers_as_keys() -> None:
    assert Dialect().key_problem(Column("k", "int64")) == ""
    assert "whole number" in Dialect().key_problem(Column("k", "string"))
    with pytest.raises(ValueError, match="invalid literal"):
        Dialect().literal("1 OR 1 = 1")


def test_any_other_database_gets_quotes_only_where_it_must() -> None:
    assert Dialect().column(Column("first_name", "string")) == "q.first_name"
    assert Dialect().column(Column("First name", "string")) == 'q."First name"'
