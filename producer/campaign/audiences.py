"""The key `audience` of a campaign file: a path, or a table that names a file or a query on a database of the settings."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from producer.campaign.problems import Findings, did_you_mean
from producer.campaign.table import Table
from producer.errors import AudienceUnreadable, DatabaseFileUnusable, DatabaseUnreachable, KeyUnusable, QueryFailed
from producer.recipients import audience
from producer.recipients.audience import Audience, AudienceFile
from producer.recipients.sql import dialects
from producer.recipients.sql.audience import SqlAudience
from producer.settings import Database

_FILE_KEYS: Final = ("path", "format", "email", "columns", "encoding")
_QUERIES: Final = ("query", "query_file", "table")
_QUERY_KEYS: Final = ("database", *_QUERIES, "segment", "key", "email", "columns")
_variable_name = re.compile(r"[^\W\d]\w*").fullmatch
_database_name = re.compile(r"[a-z0-9-]{1,32}").fullmatch
"""As the settings have it."""
_table_name = re.compile(r'(?:\w+|"[^"]+")(?:\.(?:\w+|"[^"]+"))*').fullmatch


class Origin(msgspec.Struct, frozen=True):
    """Where the text of a query stands."""

    key: str
    """Of the campaign file."""
    file: Path
    line: int | None
    """Where it begins in the file."""
    ours: int = 0
    """Lines before it that are not the user's."""


class AudienceKeys(msgspec.Struct, frozen=True):
    """What the key says."""

    source: Audience
    address_column: str | None
    columns: dict[str, str]
    """Variables and the columns that they mean, where the names differ."""
    origin: Origin | None = None
    """Of a query."""

    @property
    def place(self) -> str:
        """What a row's place is called."""
        return "in line" if self.origin is None else "with the key"


def read(table: Table, folder: Path, databases: Mapping[str, Database]) -> AudienceKeys:
    inner = _table(table)
    if any(inner.has(key) for key in ("database", *_QUERIES)):
        found, origin = _query(inner, folder, databases)
        return AudienceKeys(found, inner.text("email"), _columns(inner), origin)
    return AudienceKeys(_file(inner, folder), inner.text("email"), _columns(inner))


def _table(table: Table) -> Table:
    value = table.raw("audience")
    if isinstance(value, str):
        return Table({"path": value}, table.findings, "audience")
    return table.table("audience") or Table({}, Findings(table.findings.path), "audience")


def _file(inner: Table, folder: Path) -> AudienceFile:
    inner.refuse_unknown(_FILE_KEYS)
    inner.require("path", '"audience.csv"')
    path = folder / (inner.text("path") or "")
    by_name, compression = audience.format_of(path)
    format_ = inner.choice("format", audience.FORMATS) or by_name
    if format_ is None and inner.has("path"):
        fix = f"Set `format` in the audience table to one of: {', '.join(audience.FORMATS)}."
        inner.problem("path", f"The name of {path.name!r} does not tell its format.", fix)
    return AudienceFile(path, format_ or "csv", compression, _encoding(inner, format_ or "csv"))


def _encoding(inner: Table, format_: audience.Format) -> str:
    encoding = inner.text("encoding")
    if encoding is None:
        return "utf-8"
    try:
        is_text = codecs.lookup(encoding)._is_text_encoding  # noqa: SLF001 - nothing public tells base64 from text
    except LookupError:
        is_text = False
    if not is_text:
        inner.problem(
            "encoding", f"{encoding!r} is not known.", 'Common ones are "utf-8", "windows-1252" and "utf-16".'
        )
        return "utf-8"
    if format_ != "csv" and codecs.lookup(encoding).name != "utf-8":
        inner.problem("encoding", f"A {format_} file is UTF-8 by definition.", "Leave the key out.")
    return encoding


def _columns(inner: Table) -> dict[str, str]:
    mapping = inner.table("columns")
    if mapping is None:
        return {}
    for variable in mapping.names():
        mapping.text(variable)
        if not _variable_name(variable):
            fix = 'Use letters, digits and underscores, such as first_name = "First name".'
            mapping.problem(variable, "Templates cannot name this variable.", fix)
    return {variable: column for variable, column in mapping.items() if isinstance(column, str)}


def _query(inner: Table, folder: Path, databases: Mapping[str, Database]) -> tuple[SqlAudience, Origin]:
    inner.refuse_unknown(_QUERY_KEYS)
    inner.require("database", '"crm"')
    name = inner.text("database") or ""
    given = [key for key in _QUERIES if inner.has(key)]
    if len(given) != 1:
        fact = f"There are several queries: {', '.join(given)}." if given else "It does not say what to read."
        inner.problem("database", fact, "Set one of query, query_file and table.")
    query, origin = _text(inner, folder, given[0] if given else "query")
    if inner.has("segment") and "table" not in given:
        inner.problem("segment", "A segment belongs to a table.", "Write the condition into the query.")
    database = _database(inner, name, databases) if inner.has("database") else Database()
    return SqlAudience(name, database, dialects.tidied(query), inner.text("key") or "id"), origin


def _text(inner: Table, folder: Path, key: str) -> tuple[str, Origin]:
    """The query, and where its lines stand."""
    findings, text = inner.findings, inner.text(key) or ""
    full, file, line = inner.full(key), inner.findings.path, findings.first_line_of_text(inner.full(key))
    match key:
        case "query_file":
            path = folder / text
            return _read(inner, path), Origin(full, path, 1)
        case "table":
            if text and not _table_name(text):
                inner.problem(key, f"{text!r} is no name of a table.", "Write the whole query into `query`.")
            segment = (inner.text("segment") or "").rstrip()
            if segment:
                full, line = inner.full("segment"), findings.first_line_of_text(inner.full("segment"))
            return dialects.of_table(text, segment), Origin(full, file, line, 1 if segment else 0)
        case _:
            return text, Origin(full, file, line)


def _read(inner: Table, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        fix = "The path is relative to the campaign file; check it."
        inner.problem("query_file", f"{path} cannot be read: {error.strerror or error}.", fix)
    except UnicodeDecodeError:
        inner.problem("query_file", f"{path} is not UTF-8 text.", "Save it as UTF-8.")
    return ""


def _database(inner: Table, name: str, databases: Mapping[str, Database]) -> Database:
    if name in databases:
        return databases[name]
    if "://" in name:
        fact = "It is an address, and would show its password to everybody who reads this file."
        inner.problem("database", fact, "Put it into the settings, [producer.databases.crm] url, and its name here.")
    elif name and not _database_name(name):
        inner.problem(
            "database", f"{name!r} cannot be the name of a database.", "Use lower-case letters, digits and hyphens."
        )
    elif name:
        variable = f"JETPOST_PRODUCER_DATABASES_{re.sub(r'[^A-Z0-9]', '_', name.upper())}_URL"
        fix = (
            did_you_mean(name, databases) or f"Set `url` in [producer.databases.{name}] of the settings, or {variable}."
        )
        inner.problem("database", f'The settings know no database "{name}".', fix)
    return Database()


def tell(error: AudienceUnreadable, keys: AudienceKeys, findings: Findings) -> None:
    """An audience cannot be read: which key of the campaign file is to blame, in which line, and what to do."""
    origin = keys.origin
    match error:
        case QueryFailed() if origin is not None:
            line = origin.line
            if line is not None and error.line is not None and error.line > origin.ours:
                line += error.line - origin.ours - 1
            findings.elsewhere(origin.file, line, origin.key, str(error))
        case KeyUnusable():
            findings.problem("audience.key", str(error), "Name the column in `key` that tells the rows apart.")
        case DatabaseFileUnusable():
            fix = "Check url in the settings; a path that is not absolute (sqlite:////…) is from the folder where you are."
            findings.problem("audience.database", str(error), fix)
        case DatabaseUnreachable():
            findings.problem("audience.database", str(error), "Check url, user and password in the settings.")
        case _ if origin is not None:
            findings.problem("audience.database", str(error))
        case _:
            findings.problem("audience", str(error), "The path is relative to the campaign file.")
