"""Tables spread over the shards of a cluster, where the settings say so (docs/decisions/0025-clickhouse-clusters.md).

The tables and views of the migrations lie in a database of their own on every shard, `<database>_shard`. In the database that is
asked and inserted into, a Distributed table of the same name stands for each. A mail's rows all lie on one shard, so that views
and histories find what belongs together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from clickhouse_connect.driver.client import Client

from analytics.clickhouse import tables
from analytics.settings import ClickHouseSettings

BOOK: Final = "migrations"
"""Which migrations were applied."""

_KEYS: Final = {
    tables.EVENTS.name: "sipHash64(mail_id)",
    tables.REACTIONS.name: "sipHash64(mail_id)",
    tables.CAMPAIGN_FACTS.name: "sipHash64(campaign)",
    tables.REJECTED_EVENTS.name: "sequence",
    BOOK: "number",
}
"""On which shard a row lies. Rollups have none: views fill them, on the shard of what they count."""

CLIENT_SETTINGS: Final = {
    # An answer means that every shard has its part.
    "distributed_foreground_insert": 1,
    # A question within a question is answered from all shards.
    "distributed_product_mode": "global",
    # Of other shards the replica that is written to is the one that is read.
    "load_balancing": "in_order",
}


def on_cluster(settings: ClickHouseSettings) -> str:
    """The clause of statements that make, change and empty tables."""
    return f" ON CLUSTER '{settings.cluster}'" if settings.cluster and settings.on_cluster else ""


def shard_of(database: str) -> str:
    """Where the rows lie, on every shard."""
    return f"{database}_shard"


def make_databases(client: Client, settings: ClickHouseSettings) -> None:
    """That of the rows, and the one that is asked. Harmless to repeat."""
    database = client.database or "default"
    for name in (database, shard_of(database)):
        client.command(f"CREATE DATABASE IF NOT EXISTS {name}{on_cluster(settings)}", use_database=False)


@contextlib.contextmanager
def at_the_shards(client: Client, settings: ClickHouseSettings) -> Iterator[None]:
    """What is created and altered inside is where the rows lie, if that is not where the client is anyway."""
    if not settings.sharded:
        yield
        return
    database = client.database or "default"
    client.database = shard_of(database)
    try:
        yield
    finally:
        client.database = database


def stand_for(client: Client, settings: ClickHouseSettings, names: Iterable[str]) -> None:
    """Make or renew the Distributed tables; those of before know no columns that were added since. They hold nothing."""
    database = client.database or "default"
    for name in names:
        client.command(statement(database, name, settings), use_database=False)


def statement(database: str, name: str, settings: ClickHouseSettings) -> str:
    """What makes the Distributed table of a name."""
    arguments = [f"'{settings.cluster}'", f"'{shard_of(database)}'", f"'{name}'", *filter(None, [_KEYS.get(name)])]
    return (
        f"CREATE OR REPLACE TABLE {database}.{name}{on_cluster(settings)} AS {shard_of(database)}.{name}"
        f" ENGINE = Distributed({', '.join(arguments)})"
    )
