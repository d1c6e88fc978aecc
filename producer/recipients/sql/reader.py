"""Reads an audience from a database: one statement, one snapshot, batch by batch, from its beginning or behind a key.

Memory does not grow with the audience. The rows come in the order of the key, so whoever knows the last key of what was dealt
with can go on behind it, without the database computing the part before (docs/decisions/0019-sql-audiences.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from producer.errors import AudienceUnreadable, KeyUnusable
from producer.recipients.rows import EXCERPT_CHARACTERS, Rejected, Row, require_columns
from producer.recipients.sql import arrow, dialects
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.connection import Connection
from producer.recipients.sql.dialects import Column, Key
from producer.recipients.values import UnusableValue, plain

_ROWS_AT_A_TIME: Final = 10_000


class SqlReader:
    """A reader as for files (`rows.Reader`); `at` is the place that it can be gone on from."""

    def __init__(self, audience: SqlAudience, *, after: Key | None = None, at_most: int | None = None) -> None:
        """`at_most`: any so many rows, for a look. Raises `AudienceUnreadable`."""
        self._audience = audience
        self._after = after
        self._at_most = at_most
        self._current: tuple[object, tuple[Any, ...]] = (None, ())
        self.at: Key | None = None
        """The key of the row given last; None: it had none."""
        self._connection = Connection(audience.name, audience.database)
        try:
            self._connection.limit(audience.database.check_seconds)
            self._described = describe(self._connection, audience.query)
            self._key = key_column(audience, self._described)
            self._order = _order(self._connection, audience.query, self._key)
        except BaseException:
            self.close()
            raise
        self.columns: tuple[str, ...] = tuple(column.name for column in self._described)

    def rows(self, address: str, wanted: Sequence[str]) -> Iterator[Row | Rejected]:
        require_columns(self._audience, self.columns, (address, *wanted))
        for statement in self.statements(address, wanted):
            for piece in self._pieces(statement):
                yield from self._rows(piece)

    def _rows(self, piece: arrow.Piece) -> Iterator[Row | Rejected]:
        ready = piece.plain
        for key, address, values in zip(piece.keys, piece.addresses, piece.values, strict=True):
            self.at, self._current = key, (address, values)
            if key is None:
                reason = f'Its key "{self._key.name}" is empty: rows are read in the order of their keys.'
                yield Rejected("", reason, self.excerpt())
                continue
            if ready:
                yield Row(key, address, values)
                continue
            try:
                usable = tuple([plain(value) for value in values])
            except UnusableValue as error:
                yield Rejected(key, str(error), self.excerpt())
                continue
            yield Row(key, address, usable)

    def statements(self, address: str, wanted: Sequence[str]) -> Iterator[str]:
        """What is asked, one after the other, in one snapshot, which begins before the first."""
        by_name = {column.name: column for column in self._described}
        query, dialect = self._audience.query, self._connection.dialect
        expressions = [
            dialect.column(column) for column in (self._key, *(by_name[name] for name in (address, *wanted)))
        ]
        if self._at_most is not None:
            yield dialects.some_rows(query, expressions, self._at_most)
            return
        self._connection.limit(self._audience.database.snapshot_seconds)
        self._connection.begin()
        after = "" if self._after is None else dialect.literal(self._after)
        yield dialects.rows(query, expressions, order=self._order, after=after)
        if after and dialect.nulls_last:
            yield dialects.rows_without_key(query, expressions, self._order)

    def _pieces(self, statement: str) -> Iterator[arrow.Piece]:
        as_json = self._connection.dialect.as_json
        with self._connection.reader(statement) as batches:
            while True:
                with self._connection.reading(statement):
                    batch = next(batches, None)
                if batch is None:
                    return
                for at in range(0, batch.num_rows, _ROWS_AT_A_TIME):
                    yield arrow.piece_of(batch.slice(at, _ROWS_AT_A_TIME), as_json=as_json)

    def excerpt(self) -> str:
        address, values = self._current
        return ", ".join(map(str, (address, *values)))[:EXCERPT_CHARACTERS]

    def cancel(self) -> None:
        """From another thread: whoever waits for rows gets `QueryFailed`."""
        self._connection.cancel()

    def close(self) -> None:
        self._connection.close()


def describe(connection: Connection, query: str) -> tuple[Column, ...]:
    """The columns of a query. Raises `QueryFailed`."""
    statement = dialects.described(query)
    with connection.reader(statement) as reader:
        return arrow.columns_of(reader.schema)


def key_column(audience: SqlAudience, columns: Sequence[Column]) -> Column:
    """Raises `KeyUnusable`."""
    found = [column for column in columns if column.name == audience.key]
    if len(found) != 1:
        raise KeyUnusable(
            f'{audience} has {"two columns" if found else "no column"} "{audience.key}" that could be its key.'
        )
    return found[0]


def _order(connection: Connection, query: str, key: Column) -> str:
    dialect = connection.dialect
    if problem := dialect.key_problem(key):
        raise KeyUnusable(problem)
    question = dialect.collation_question(query, key)
    distinct = not question
    if question:
        try:
            distinct = connection.ask(question) == [(True,)]
        except AudienceUnreadable:  # a server that does not know collations well enough to tell
            distinct = False
    return dialect.order(key, distinct=distinct)
