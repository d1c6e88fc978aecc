"""Numbered, forward-only changes of the schema: `NNNN_name.sql`, each applied once, in order.

A process may die between the statements of a migration, or two may migrate at once: every statement can be repeated.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from analytics import errors
from analytics.clickhouse import sharding, tables
from analytics.ranges import REMEMBERED_INSERTS
from analytics.settings import ClickHouseSettings

_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]+)\}")
_PART: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|--[^\n]*|/\*.*?\*/|;|[^'`;/-]+|.", re.DOTALL)
"""A string, a quoted name, a comment, the end of a statement, or anything else."""


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    text: str


def available() -> list[Migration]:
    """In order."""
    found = [
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in resources.files(__package__).iterdir()
        if (match := _FILE.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def apply(client: Client, settings: ClickHouseSettings) -> list[str]:
    """Apply what is missing; returns the names. Raises the driver's errors."""
    if settings.sharded:
        sharding.make_databases(client, settings)
    with sharding.at_the_shards(client, settings):
        client.command(render(_BOOK, settings))
    if settings.sharded:
        sharding.stand_for(client, settings, (sharding.BOOK,))
    unapplied = missing(client)
    for migration in unapplied:
        with sharding.at_the_shards(client, settings):
            for statement in statements(render(migration.text, settings)):
                client.command(statement)
        client.insert(sharding.BOOK, [[migration.number, migration.name]], ["number", "name"])
    if unapplied and settings.sharded:
        sharding.stand_for(client, settings, tables.ALL)
    return [migration.name for migration in unapplied]


def missing(client: Client) -> list[Migration]:
    """Those that nobody has applied, in order; all of them where there are no tables yet. Raises the driver's errors."""
    if not client.command("EXISTS TABLE migrations"):
        return available()
    applied = {row[0] for row in client.query("SELECT number FROM migrations").result_rows}
    return [migration for migration in available() if migration.number not in applied]


_BOOK: Final = """
CREATE TABLE IF NOT EXISTS migrations ${on_cluster}
(
    number UInt32,
    name String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ${MergeTree}
ORDER BY number
"""


def statements(text: str) -> list[str]:
    """The statements of an SQL text, without comments; a semicolon in a string, a name or a comment ends nothing."""
    found, current = [], ""
    for part in _PART.findall(text):
        if part == ";":
            found.append(current)
            current = ""
        elif not part.startswith(("--", "/*")):
            current += part
    return [statement.strip() for statement in [*found, current] if statement.strip()]


def render(text: str, settings: ClickHouseSettings) -> str:
    """Put the engines and clauses of this installation where the placeholders are; comments are left alone."""
    return _PLACEHOLDER.sub(lambda match: _clause(match[1], settings), text)


def _clause(placeholder: str, settings: ClickHouseSettings) -> str:
    word, _, argument = placeholder.partition(":")
    if word == "on_cluster":
        return sharding.on_cluster(settings).strip()
    if word == "ttl":
        return f"TTL toDateTime({argument}) + INTERVAL {settings.keep_days} DAY" if settings.keep_days else ""
    if word == "deduplication":
        return _deduplication(settings)
    name, _, arguments = word.rstrip(")").partition("(")
    if name.endswith("MergeTree"):
        return _engine(name, arguments, settings)
    raise errors.ClickHouseRefused(f"A migration has a placeholder that nothing stands for: ${{{placeholder}}}")


def _engine(name: str, arguments: str, settings: ClickHouseSettings) -> str:
    if not settings.replicated:
        return f"{name}({arguments})"
    values: list[Any] = [f"'{settings.replica_path}'", f"'{settings.replica_name}'", *filter(None, [arguments])]
    return f"Replicated{name}({', '.join(values)})"


def _deduplication(settings: ClickHouseSettings) -> str:
    if not settings.replicated:
        return f"non_replicated_deduplication_window = {REMEMBERED_INSERTS}"
    # By default a cluster forgets after an hour: too soon for an ingester that was down over a weekend.
    month = 30 * 86_400
    return f"replicated_deduplication_window = {REMEMBERED_INSERTS}, replicated_deduplication_window_seconds = {month}"
