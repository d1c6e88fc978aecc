import re

import pytest

from analytics.clickhouse import migrations
from analytics.errors import ClickHouseRefused
from analytics.settings import ClickHouseSettings

ALONE = ClickHouseSettings()
CLUSTER = ClickHouseSettings(cluster="mails", replicated=True)
SHARDED = ClickHouseSettings(cluster="mails", replicated=True, sharded=True)
REPEATABLE = re.compile(
    r".* IF NOT EXISTS |.* MODIFY QUERY|INSERT INTO (\w+)\s.* NOT IN \(SELECT .* FROM \1\b", re.DOTALL
)


def test_migrations_are_numbered_without_gaps():
    assert [migration.number for migration in migrations.available()] == list(range(1, len(migrations.available()) + 1))


@pytest.mark.parametrize("settings", [ALONE, CLUSTER, SHARDED], ids=["alone", "cluster", "sharded"])
def test_every_statement_can_be_repeated_and_has_no_placeholder_left(settings):
    for migration in migrations.available():
        for statement in migrations.statements(migrations.render(migration.text, settings)):
            assert REPEATABLE.match(statement)
            assert "${" not in statement


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT 'it''s; \\'; ok'", ["SELECT ';'", "SELECT 'it''s; \\'; ok'"]),
        ("SELECT 1 -- not; here\n, 2;", ["SELECT 1 \n, 2"]),
        ("/* no; \n no; */ SELECT `a;b` / 2 - 1;", ["SELECT `a;b` / 2 - 1"]),
        (" ; ;\n", []),
    ],
)
def test_only_a_semicolon_between_statements_ends_one(text, statements):
    assert migrations.statements(text) == statements


def test_alone_engines_are_plain_and_remember_inserts():
    text = migrations.render("ENGINE = ${ReplacingMergeTree(sequence)} SETTINGS ${deduplication}${on_cluster}", ALONE)
    assert text == "ENGINE = ReplacingMergeTree(sequence) SETTINGS non_replicated_deduplication_window = 1000"


def test_on_a_cluster_engines_are_replicated_and_made_everywhere():
    text = migrations.render("CREATE TABLE t ${on_cluster} ENGINE = ${ReplacingMergeTree(sequence)}", CLUSTER)
    assert text == (
        "CREATE TABLE t ON CLUSTER 'mails' ENGINE = ReplicatedReplacingMergeTree("
        "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}', sequence)"
    )


def test_a_replicated_table_remembers_inserts_longer_than_an_outage():
    assert "replicated_deduplication_window_seconds = 2592000" in migrations.render("${deduplication}", CLUSTER)


def test_rows_are_kept_for_ever_where_no_limit_is_set():
    assert migrations.render("${ttl:at}", ClickHouseSettings(keep_days=0)) == ""
    assert migrations.render("${ttl:at}", ALONE) == "TTL toDateTime(at) + INTERVAL 400 DAY"


def test_an_unknown_placeholder_is_refused():
    with pytest.raises(ClickHouseRefused, match=r"\$\{nonsense\}"):
        migrations.render("${nonsense}", ALONE)
