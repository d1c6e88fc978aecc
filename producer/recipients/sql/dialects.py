"""How databases want to be asked: pure text, no connection.

The user's query is wrapped, never changed: `SELECT … FROM (query) AS q WHERE key > … ORDER BY key`. What compares and what
orders is always the same expression, under an order in which different keys are never equal; otherwise a launch that goes on
behind a key might leave out its equals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

Key: TypeAlias = int | str
"""A value of the key column, as the database writes it; whole numbers as such."""

FIRST_LINE_OF_QUERY: Final = 2
"""In the statements here; the query ends with its last line."""


class Column(NamedTuple):
    name: str
    type: str
    """In the words of the database, or of Arrow where the driver tells no more."""


def tidied(query: str) -> str:
    """The query as it can stand within another one; lines stay where they are."""
    return query.rstrip().rstrip(";").rstrip()


def of_table(table: str, segment: str) -> str:
    """The query for the rows of a table that a condition holds for; line 2 is where the condition begins."""
    return f"SELECT * FROM {table} WHERE (\n{segment}\n)" if segment else f"SELECT * FROM {table}"


def described(query: str) -> str:
    """No rows, all columns."""
    return _wrapped("q.*", query, " WHERE 1 = 0")


def counted(query: str) -> str:
    return _wrapped("count(*)", query)


def rows(query: str, expressions: Sequence[str], *, order: str, after: str = "") -> str:
    """All rows in order, or those behind a key."""
    where = f" WHERE {order} > {after}" if after else ""
    return _wrapped(", ".join(expressions), query, f"{where} ORDER BY {order}")


def rows_without_key(query: str, expressions: Sequence[str], key: str) -> str:
    return _wrapped(", ".join(expressions), query, f" WHERE {key} IS NULL")


def some_rows(query: str, expressions: Sequence[str], limit: int) -> str:
    """The first that come to hand."""
    return _wrapped(", ".join(expressions), query, f" LIMIT {limit}")


def _wrapped(selected: str, query: str, rest: str = "") -> str:
    return f"SELECT {selected} FROM (\n{query}\n) AS q{rest}"


class Dialect:
    """How to ask any database. Only whole numbers are keys: how it orders anything else is not known here."""

    name: str = "The database"
    """For people."""
    options: Mapping[str, str] = {}
    """Of ADBC, for statements with many rows: batches small enough for memory to stay flat."""
    small: Mapping[str, str] = {}
    """The same for statements with a few."""
    opening: Sequence[str] = ()
    """Statements that make a new connection harmless. They may fail where a server does not know them."""
    begin: str = ""
    """Begins a transaction that reads one snapshot and writes nothing; empty: the driver's own way."""
    as_json: bool = False
    """Values are written as JSON, because the database has no types for columns."""
    nulls_last: bool = False
    """ORDER BY puts rows without a key at the end, and not at the beginning."""

    def column(self, column: Column) -> str:
        """The expression to select for it."""
        return _named(column.name)

    def key_problem(self, key: Column) -> str:
        """Why it cannot be the key; empty: it can."""
        if re.fullmatch(r"u?int\d+", key.type):
            return ""
        return f'"{key.name}" is of the type {key.type}. With this driver a key is a whole number.'

    def collation_question(self, query: str, key: Column) -> str:
        """A statement whose one value tells whether keys that differ are never equal; empty: they never are."""
        return ""

    def order(self, key: Column, *, distinct: bool) -> str:
        """The expression that orders and compares. `distinct`: keys that differ are never equal anyway."""
        return _named(key.name)

    def literal(self, key: Key) -> str:
        return str(int(key))

    def timeout(self, seconds: float) -> str:
        """A statement that limits those after it; empty: there is none."""
        return ""

    def estimate(self, query: str) -> str:
        """A statement that holds the planner's guess how many rows there are; empty: there is none."""
        return ""


class PostgreSql(Dialect):
    """PostgreSQL 12 and later. A quoted key takes the type of what it is compared with, so that an index can serve."""

    name = "PostgreSQL"
    options: Mapping[str, str] = {"adbc.postgresql.batch_size_hint_bytes": str(1 << 20)}
    small: Mapping[str, str] = {"adbc.postgresql.use_copy": "false"}  # COPY knows no EXPLAIN
    opening = (
        "SET application_name = 'jetpost'",
        "SET default_transaction_read_only = on",
        "SET standard_conforming_strings = on",
        "SET datestyle = 'ISO, YMD'",
        "SET timezone = 'UTC'",
        "SET client_connection_check_interval = '5s'",  # since 14: a query whose asker was killed ends, too
    )
    begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    as_json = False
    nulls_last = True

    _texts: Final = frozenset({"text", "varchar", "bpchar", "name"})
    _keys: Final = frozenset({"int2", "int4", "int8", "numeric", "uuid", "date", "timestamp", "timestamptz"}) | _texts
    _read_as_they_are: Final = _keys | {"float4", "float8", "bool", "json", "jsonb", "time", "bytea"}

    def column(self, column: Column) -> str:
        known = column.type.removeprefix("_") in self._read_as_they_are
        quoted = _quoted(column.name)
        if column.type == "uuid":
            return f"{quoted}::text"  # cheaper there than here
        return quoted if known else f"{quoted}::text"

    def key_problem(self, key: Column) -> str:
        if key.type in self._keys or key.type == "citext":
            return ""
        return f'"{key.name}" is of the type {key.type}. A key is a whole or decimal number, text, a UUID, a date or a time.'

    def collation_question(self, query: str, key: Column) -> str:
        if key.type not in self._texts:
            return ""
        return (
            f"SELECT collisdeterministic FROM pg_collation WHERE oid = "
            f"pg_collation_for((SELECT {_quoted(key.name)} FROM (\n{query}\n) AS q LIMIT 0))::regcollation"
        )

    def order(self, key: Column, *, distinct: bool) -> str:
        quoted = _quoted(key.name)
        return quoted if distinct and key.type != "citext" else f'{quoted}::text COLLATE "C"'

    def literal(self, key: Key) -> str:
        return _text(str(key))

    def timeout(self, seconds: float) -> str:
        return f"SET statement_timeout = {round(seconds * 1_000)}"

    def estimate(self, query: str) -> str:
        return f"EXPLAIN (FORMAT JSON) SELECT * FROM (\n{query}\n) AS q"


class Sqlite(Dialect):
    """SQLite. Any column may hold values of any type, which ADBC does not expect: values travel as JSON."""

    name = "SQLite"
    options: Mapping[str, str] = {"adbc.sqlite.query.batch_rows": "10000"}
    opening = ("PRAGMA query_only = on",)
    begin = "BEGIN"
    as_json = True

    def column(self, column: Column) -> str:
        quoted = _quoted(column.name)
        return f"CASE typeof({quoted}) WHEN 'blob' THEN 'blob' ELSE json_quote({quoted}) END"

    def key_problem(self, key: Column) -> str:
        return ""  # its values tell, row by row

    def order(self, key: Column, *, distinct: bool) -> str:
        return f"{_quoted(key.name)} COLLATE BINARY"

    def literal(self, key: Key) -> str:
        return str(key) if isinstance(key, int) else _text(key)


def _quoted(name: str) -> str:
    return 'q."' + name.replace('"', '""') + '"'


def _named(name: str) -> str:
    """Quoted only where it must be: some databases read double quotes as text."""
    return f"q.{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else _quoted(name)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
