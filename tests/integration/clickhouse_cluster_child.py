"""Checks of a sharded schema, in a process of its own: one process has one ClickHouse, with one configuration."""

import asyncio
import sys

from analytics import rows
from analytics.clickhouse import migrations, tables
from analytics.clickhouse.client import Store
from analytics.reports import EventFilter, Reports
from analytics.settings import ClickHouseSettings
from events import facts, ids
from events.bus import Record

AT = 1_796_083_195.0


def stated(count):
    """Facts of a campaign: mails accepted, put off and then accepted, in doubt."""
    yield facts.CampaignStarted("spring", AT, "Spring", "main")
    yield facts.CampaignPlanned("spring", AT, 1, count, 0, 0)
    for number in range(count):
        address = f"user{number}@example.com"
        mail = ("spring", AT, ids.mail_id("spring", address))
        to = (address, "main", "gmail")
        if number % 10 == 1:
            yield facts.EmailDeferred(*mail, 1, *to, "transient", 451, "4.7.1", "later", AT + 60)
            yield facts.EmailAccepted(*mail, 2, *to, 9.0)
        elif number % 10 == 2:
            yield facts.EmailInDoubt(*mail, 1, *to, "connection lost")
        else:
            yield facts.EmailAccepted(*mail, 1, *to, 1.0)


async def insert(store, count):
    made = rows.to_rows(Record(facts.encode(fact), "events", 1 + n, 0.0, "") for n, fact in enumerate(stated(count)))
    for table, columns in zip((tables.EVENTS, tables.CAMPAIGN_FACTS), made, strict=False):
        await store.insert(table, columns, "one")


async def main(url):
    settings = ClickHouseSettings(url=url, cluster="mails", on_cluster=False, sharded=True, keep_days=0)
    store = Store(settings)
    applied = await store.migrate()
    assert applied == [migration.name for migration in migrations.available()], applied
    assert await store.lacking() == []
    assert await store.migrate() == []

    await insert(store, 100)
    await insert(store, 100)  # a repeat: the shard's tables have it, and its rollups
    reports = Reports(store, lambda: AT + 10)
    exact = await reports.exact_ledger("spring")
    assert (exact.accepted, exact.in_doubt, exact.planned) == (90, 10, 100), exact
    assert await reports.ledger("spring") == exact
    assert len(await reports.doubts("spring", limit=50)) == 10
    assert len(await reports.events(EventFilter(campaign="spring", types=("deferred",)), limit=50)) == 10
    for question in (reports.providers, reports.failures, reports.latency, reports.engagement, reports.sizes):
        await question("spring")
    assert [one.campaign for one in await reports.overview()] == ["spring"]
    assert await store.query("evidence", limit=10) == []
    assert await store.query("holdings") == [(112, 1)]
    await store.empty()
    assert (await store.query("has_events", until=2**63)) == [(0,)]
    await store.close()
    sys.stdout.write("all is well\n")


asyncio.run(main(sys.argv[1]))
