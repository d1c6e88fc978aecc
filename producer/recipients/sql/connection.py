"""The only door to ADBC: connections that read, and what goes wrong, in the database's own words.

Everything here blocks. One thread at a time may use a `Connection`; `cancel` alone may come from another.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from producer.errors import AudienceUnreadable, DatabaseFileUnusable, DatabaseUnreachable, QueryFailed
from producer.recipients.sql.address import Address, address_of
from producer.recipients.sql.dialects import FIRST_LINE_OF_QUERY
from producer.settings import Database

_TIMED_OUT: Final = " `check_seconds` and `snapshot_seconds` in [producer.databases.{}] say how long it may take."
_CLUTTER: Final = (
    re.compile(r"^[A-Z_]+: "),
    re.compile(r"\[(?:libpq|SQLite)\] "),
    re.compile(r"Failed to connect: "),
    re.compile(r"Failed to (?:prepare|execute|step) query(?: '.*?')?: ", re.DOTALL),
    re.compile(r"Execution error \[\w+\]: "),
    re.compile(r"\s*\nquery(?: was)?: .*", re.DOTALL | re.IGNORECASE),
    re.compile(r"\.? SQLSTATE: \w+$"),
    re.compile(r"^(?:ERROR|FATAL): +"),
)


class Connection:
    """A connection that cannot write. Raises `DatabaseUnreachable`, or `AudienceUnreadable` where a driver is missing."""

    def __init__(self, name: str, database: Database) -> None:
        self._address = address_of(name, database)
        self.name = name
        self.dialect = self._address.dialect
        drivers = _drivers(self._address)
        self._faults: tuple[type[Exception], ...] = drivers.faults
        try:
            self._connection: Any = drivers.connect(self._address)
        except self._faults as error:
            if self._address.file is not None:
                _require_readable(name, self._address.file)
            raise DatabaseUnreachable(
                f"The database {name!r} cannot be reached: {_sentence(self._words(error))}"
            ) from error
        for statement in self.dialect.opening:
            with contextlib.suppress(QueryFailed):
                self.run(statement)

    def limit(self, seconds: float) -> None:
        """Of time, for each statement from here on; 0: none."""
        if statement := self.dialect.timeout(seconds):
            self.run(statement)

    def begin(self) -> None:
        """Everything read from here on sees the database as it is at the next statement. Closing ends it."""
        if self.dialect.begin:
            self.run(self.dialect.begin)

    def run(self, statement: str) -> None:
        with self._cursor(statement):
            pass

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """All rows of a small answer."""
        with self._cursor(statement, **self.dialect.small) as cursor, self._told(statement):
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    @contextlib.contextmanager
    def reader(self, statement: str) -> Iterator[Any]:
        """A `pyarrow.RecordBatchReader`. What it raises must be caught by `reading`."""
        with self._cursor(statement, **self.dialect.options) as cursor:
            with self._told(statement):
                reader = cursor.fetch_record_batch()
            try:
                yield reader
            finally:
                with contextlib.suppress(*self._faults):
                    reader.close()

    def reading(self, statement: str) -> contextlib.AbstractContextManager[None]:
        """Around each step of a `reader`: raises `QueryFailed`."""
        return self._told(statement)

    def cancel(self) -> None:
        """End the statement that runs, from another thread; its thread gets `QueryFailed`. Harmless where none runs."""
        with contextlib.suppress(*self._faults):
            self._connection.adbc_cancel()

    def close(self) -> None:
        with contextlib.suppress(*self._faults):
            self._connection.close()

    @contextlib.contextmanager
    def _cursor(self, statement: str, **options: str) -> Iterator[Any]:
        with self._told(statement):
            cursor = self._connection.cursor()
        try:
            with self._told(statement):
                if options:
                    cursor.adbc_statement.set_options(**options)
                cursor.execute(statement)
            yield cursor
        finally:
            with contextlib.suppress(*self._faults):
                cursor.close()

    @contextlib.contextmanager
    def _told(self, statement: str) -> Iterator[None]:
        try:
            yield
        except self._faults as error:
            words = _sentence(self._words(error))
            hint = _TIMED_OUT.format(self.name) if "statement timeout" in words else ""
            raise QueryFailed(f"{self.dialect.name} says: {words}{hint}", _line_in_query(error, statement)) from error

    def _words(self, error: Exception) -> str:
        """What the database said: its message and where it points, without what the layers between have added."""
        details = dict(getattr(error, "details", None) or ())
        text = details.get(b"PG_DIAG_MESSAGE_PRIMARY", b"").decode("utf-8", "replace")
        if not text:
            text = str(error)
            for clutter in _CLUTTER:
                text = clutter.sub("", text)
        for more in (b"PG_DIAG_MESSAGE_DETAIL", b"PG_DIAG_MESSAGE_HINT"):
            if more in details:
                text = f"{text} ({details[more].decode('utf-8', 'replace')})"
        for secret in self._address.secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())


class _Drivers:
    """ADBC's modules, imported when first needed: they are an extra."""

    def __init__(self, manager: Any, arrow: Any, own: ModuleType | None) -> None:  # noqa: ANN401 - modules of an extra
        self._manager = manager
        self._own = own
        self.faults: tuple[type[Exception], ...] = (manager.Error, arrow.ArrowException, OSError)

    def connect(self, address: Address) -> Any:  # noqa: ANN401 - a connection of ADBC's
        if self._own is not None:
            return self._own.connect(address.uri, autocommit=True)
        return self._manager.connect(driver=address.driver, db_kwargs={"uri": address.uri}, autocommit=False)


def _drivers(address: Address) -> _Drivers:
    try:
        import adbc_driver_manager.dbapi as manager  # noqa: PLC0415 - an extra
        from pyarrow import lib  # noqa: PLC0415 - an extra

        own = importlib.import_module(f"{address.driver}.dbapi") if address.extra != "sql" else None
    except ImportError as error:
        raise AudienceUnreadable(
            f"Reading from {address.dialect.name} needs ADBC. Install it with: pip install 'jetpost[{address.extra}]'."
        ) from error
    return _Drivers(manager, lib, own)


def _require_readable(name: str, file: Path) -> None:
    """SQLite says nothing useful of a file that it cannot open. Raises `DatabaseFileUnusable`."""
    try:
        with file.open("rb"):
            pass
    except FileNotFoundError as error:
        raise DatabaseFileUnusable(f"The file of the database {name!r} does not exist: {file.absolute()}.") from error
    except OSError as error:
        raise DatabaseFileUnusable(
            f"The file of the database {name!r} cannot be read: {file.absolute()}: {error.strerror}."
        ) from error


def _line_in_query(error: Exception, statement: str) -> int | None:
    """On which line of the user's query the database points at something, from 1."""
    position = dict(getattr(error, "details", None) or ()).get(b"PG_DIAG_STATEMENT_POSITION", b"")
    if not position.isdigit():
        return None
    line = statement.count("\n", 0, int(position) - 1) + 1
    lines = statement.count("\n") + 1
    return line - FIRST_LINE_OF_QUERY + 1 if FIRST_LINE_OF_QUERY <= line < lines else None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", ")")) else f"{text}."
