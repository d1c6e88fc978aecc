"""The history that the benchmark of the dashboard makes up is one that could have happened."""

from analytics.clickhouse.client import connect
from analytics.reports import Reports
from analytics.settings import ClickHouseSettings
from benchmarks.rollups import asking, filling

FEW = 40_000


async def test_made_up_campaigns_have_ledgers_that_hold_and_every_question_has_an_answer(tmp_path, memory_bus):
    settings = ClickHouseSettings(url=f"chdb://{tmp_path}/clickhouse")
    store = asking.Watched(settings)
    await store.migrate()
    client = connect(settings)
    for extent in (filling.small(3), filling.big(FEW, 20)):
        filling.fill(client, extent, {}, lambda _: None)
    client.close()
    summaries = await Reports(store).overview()
    assert len(summaries) == 23
    closed = [summary.ledger for summary in summaries if summary.finished_at is not None]
    assert len(closed) == 22
    assert all(ledger.balanced for ledger in closed)
    assert sum(summary.ledger.in_doubt for summary in summaries) == 23
    exact = [await Reports(store).exact_ledger(summary.campaign) for summary in summaries]
    assert exact == [summary.ledger for summary in summaries]
    queries, pages = await asking.ask(store, memory_bus, "big0019", repeats=1)
    await store.close()
    assert all(timing.median > 0 for timing in (*queries.values(), *pages.values()))
