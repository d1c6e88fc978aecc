"""`jetpost check` and `jetpost send` with an audience in PostgreSQL, killed with signal 9 while rows change, and run again."""

import os
import signal
from collections import Counter

import databases
import jetpost_command
import pytest
from databases import ID, PostgresPeople, planned
from process_watching import until

from events import campaigns
from producer import checkpoint

PEOPLE = 40_000
BATCH = 1_000


@pytest.fixture
def people(postgres):
    found = PostgresPeople(postgres)
    found.execute(
        "DROP TABLE IF EXISTS people",
        "CREATE TABLE people (id bigint PRIMARY KEY, email text, name text)",
        f"INSERT INTO people SELECT n * 10, 'p' || n || '@example.com', 'N' || n FROM generate_series(1, {PEOPLE}) AS n",
        "INSERT INTO people VALUES (5, 'P7@example.com', 'again'), (15, 'nobody', 'bad')",
    )
    return found


@pytest.fixture
def variables(nats_server, people):
    return {
        "JETPOST_NATS_URL": nats_server.url,
        "JETPOST_PRODUCER_LINK_SECRET": "a secret of the tests",
        "JETPOST_PRODUCER_BATCH_SIZE": str(BATCH),
        "JETPOST_PRODUCER_DATABASES_CRM_URL": people.url.replace("postgres@", "postgres:hush@"),
        "JETPOST_SENDER_POOLS_RELAY_HOST": "127.0.0.1",
    }


async def killed_behind(bus, folder, batch: int, variables) -> None:
    """Start `jetpost send` and kill it when that batch is kept."""
    process = await jetpost_command.start(folder, "send", "campaign.toml", **variables)

    async def is_there() -> bool:
        assert process.returncode is None, (await process.communicate())[1]
        found = await checkpoint.of_campaign(bus, ID)
        return found is not None and found.end is not None and found.batch >= batch

    await until(is_there, 120)
    os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()


async def test_a_launch_that_is_killed_while_rows_change_plans_everybody_once(nats_bus, tmp_path, people, variables):
    databases.write_campaign(tmp_path)
    await killed_behind(nats_bus, tmp_path, 3, variables)
    people.execute("UPDATE people SET email = 'moved' || id || '@example.com' WHERE id % 1000 = 0")
    await killed_behind(nats_bus, tmp_path, 9, variables)
    people.execute(
        "INSERT INTO people SELECT n * 10 + 5, 'new' || n || '@example.com', 'new' FROM generate_series(2, 40000, 100) AS n",
        "DELETE FROM people WHERE id % 5000 = 10",
    )
    ended = await jetpost_command.run(tmp_path, "send", "campaign.toml", seconds=120, **variables)
    assert ended.code == 0, ended.errors
    assert "sale resumed and planned: " in ended.output
    found = await planned(nats_bus)
    addresses = Counter(recipient.address for recipient in found)
    assert set(addresses.values()) == {1}
    keys = Counter(int(recipient.values[0][1:]) for recipient in found if recipient.values[0].startswith("N"))
    assert set(keys.values()) == {1}, "nobody is planned at two addresses"
    always_there = {n for n in range(1, PEOPLE + 1) if n * 10 % 5_000 != 10 and n != 7}  # whose address came before
    assert always_there <= set(keys)
    known = await campaigns.get(nats_bus, ID)
    assert (known.duplicates, known.rejected) == (1, 1)


async def test_a_check_tells_of_the_query_and_of_no_password(tmp_path, variables):
    databases.write_campaign(tmp_path)
    checked = await jetpost_command.run(tmp_path, "check", "campaign.toml", **variables)
    assert checked.code == 0, checked.errors
    assert f"The query on the database 'crm': {PEOPLE + 2:,} rows; columns id, email, name" in checked.output
    preview = await jetpost_command.run(tmp_path, "preview", "campaign.toml", **variables)
    assert "Hello N1" in preview.output
    shown = await jetpost_command.run(tmp_path, "config", **variables)
    assert "***@/postgres?host=" in shown.output
    assert "hush" not in checked.output + preview.output + shown.output


async def test_a_database_that_does_not_let_us_in_is_told_without_its_password(tmp_path, variables):
    databases.write_campaign(tmp_path)
    wrong = variables["JETPOST_PRODUCER_DATABASES_CRM_URL"].replace("/postgres?", "/nothing?")
    variables |= {"JETPOST_PRODUCER_DATABASES_CRM_URL": wrong}
    checked = await jetpost_command.run(tmp_path, "check", "campaign.toml", **variables)
    assert checked.code == 1
    assert "campaign.toml:9: audience.database: The database 'crm' cannot be reached" in checked.errors
    assert 'database "nothing" does not exist' in checked.errors
    assert "hush" not in checked.errors
