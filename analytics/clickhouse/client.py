"""The door to ClickHouse: in this process (chdb) or at a server, one code path.

Calls block inside the driver, so each `Store` runs them one after the other in a thread of its own. Give each user one:
a slow question of one does not hold up another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

import clickhouse_connect
from clickhouse_connect import common
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from analytics.clickhouse import failures, migrations, sharding, tables
from analytics.errors import PartVanished
from analytics.settings import ClickHouseSettings

Columns: TypeAlias = Sequence[Sequence[Any]]
"""The values of an insert, one sequence per column, all of the same length."""

Parameter: TypeAlias = str | int | float | Sequence[str]
"""What a question may be asked with."""

Answer = TypeVar("Answer")

_READ_AGAIN: Final = 2
"""How often a question is asked anew at once when a file that it was reading was gone."""

INSERT_SETTINGS: Final = {
    # A repeated insert is dropped by the table and fills what the views lack (docs/decisions/0008-clickhouse.md).
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # One insert is one block, so that the token means the same each time.
    "max_insert_threads": 1,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 0,
    "max_partitions_per_insert_block": 0,
    "async_insert": 0,
    # Over HTTP: an answer means that the insert, with its views, is done.
    "wait_end_of_query": 1,
}

# Read-only session ids would make concurrent requests of one client wait for each other at the server.
common.set_setting("autogenerate_session_id", False)


class Store:
    """One user's connection. Connects at the first call and again after failures.

    Every method raises `errors.ClickHouseUnavailable` or `errors.ClickHouseRefused`.
    """

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse")
        self._client: Client | None = None

    async def migrate(self) -> list[str]:
        """Bring the schema up to this release; returns the names of the migrations that were applied. Harmless to repeat."""
        return await self._run(lambda client: migrations.apply(client, self._settings))

    async def lacking(self) -> list[str]:
        """Names of migrations of this release that nobody has applied: what `migrate` would do."""
        return await self._run(lambda client: [migration.name for migration in migrations.missing(client)])

    async def query(self, name: str, **parameters: Parameter) -> list[tuple[Any, ...]]:
        """The rows that `queries/<name>.sql` answers; parameters are bound by the server."""
        sql = query_text(name)
        for _ in range(_READ_AGAIN):
            with contextlib.suppress(PartVanished):
                return await self._run(lambda client: _rows(client, sql, parameters))
        return await self._run(lambda client: _rows(client, sql, parameters))

    async def insert(self, table: tables.Table, columns: Columns, token: str) -> None:
        """Insert rows once: repeating it with the same token stores nothing twice, neither in the table nor in rollups."""
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        await self._run(lambda client: _insert(client, table, columns, settings))

    async def catch_up(self) -> None:
        """Returns when the server that is asked has what its fellow replicas have; at once where there are none."""
        if self._settings.replicated:
            await self._run(lambda client: _catch_up(client, self._settings))

    async def empty(self) -> None:
        """Empty every table and every rollup; the schema stays. Harmless to repeat."""
        await self._run(lambda client: _empty(client, self._settings))

    async def close(self) -> None:
        """Waits for a call that runs."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _run(self, call: Callable[[Client], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, call)

    def _call(self, call: Callable[[Client], Answer]) -> Answer:
        try:
            if self._client is None:
                self._client = connect(self._settings)
            return call(self._client)
        except ClickHouseError as error:
            raise failures.from_driver(error) from error

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def connect(settings: ClickHouseSettings) -> Client:
    """Blocks. Raises the driver's errors."""
    url = urlsplit(settings.url)
    common_settings = sharding.CLIENT_SETTINGS if settings.sharded else {}
    if url.scheme == "chdb":
        options = dict(parse_qsl(url.query))
        return clickhouse_connect.get_client(
            interface="chdb", path=url.path or None, chdb_options=options or None, settings=common_settings
        )
    return clickhouse_connect.get_client(
        dsn=settings.url, send_receive_timeout=int(settings.timeout_seconds), settings=common_settings
    )


@cache
def query_text(name: str) -> str:
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_text("utf-8").rstrip()


def _rows(client: Client, sql: str, parameters: dict[str, Parameter]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]


def _empty(client: Client, settings: ClickHouseSettings) -> None:
    with sharding.at_the_shards(client, settings):
        for table in tables.ALL:
            client.command(migrations.render(f"TRUNCATE TABLE IF EXISTS {table} ${{on_cluster}}", settings))


def _catch_up(client: Client, settings: ClickHouseSettings) -> None:
    with sharding.at_the_shards(client, settings):
        for table in tables.ALL:
            client.command(f"SYSTEM SYNC REPLICA {table}")


def _insert(client: Client, table: tables.Table, columns: Columns, settings: Mapping[str, Any]) -> None:
    context = client.create_insert_context(
        table.name,
        table.columns,
        column_type_names=table.types,
        column_oriented=True,
        settings=dict(settings),
        data=columns,
    )
    context.block_row_count = len(columns[0])
    client.data_insert(context)
