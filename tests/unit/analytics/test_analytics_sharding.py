"""What makes Distributed tables, by its text; that it works is shown in tests/integration/test_clickhouse_cluster.py."""

import pytest

from analytics.clickhouse import migrations, sharding, tables
from analytics.settings import ClickHouseSettings

SHARDED = ClickHouseSettings(url="http://clickhouse:8123/jetpost", cluster="mails", replicated=True, sharded=True)


def test_rows_of_a_mail_lie_together():
    assert sharding.statement("jetpost", "events", SHARDED) == (
        "CREATE OR REPLACE TABLE jetpost.events ON CLUSTER 'mails' AS jetpost_shard.events"
        " ENGINE = Distributed('mails', 'jetpost_shard', 'events', sipHash64(mail_id))"
    )


def test_a_rollup_is_asked_only_so_it_has_no_key():
    assert sharding.statement("jetpost", "totals", SHARDED).endswith("Distributed('mails', 'jetpost_shard', 'totals')")


@pytest.mark.parametrize("table", [tables.EVENTS, tables.CAMPAIGN_FACTS, tables.REACTIONS, tables.REJECTED_EVENTS])
def test_each_table_that_is_inserted_into_has_a_key(table):
    assert sharding.statement("jetpost", table.name, SHARDED).count(",") == 3


def test_a_database_that_replicates_statements_itself_is_not_told_where():
    settings = ClickHouseSettings(cluster="mails", on_cluster=False, sharded=True)
    assert "ON CLUSTER" not in sharding.statement("jetpost", "events", settings)
    assert "ON CLUSTER" not in migrations.render("CREATE TABLE t ${on_cluster} ENGINE = ${MergeTree}", settings)


@pytest.mark.parametrize("name", tables.ALL)
def test_every_table_of_the_migrations_has_one_that_stands_for_all_shards(name):
    made = " ".join(migration.text for migration in migrations.available())
    assert f"CREATE TABLE IF NOT EXISTS {name} ${{on_cluster}}" in made
