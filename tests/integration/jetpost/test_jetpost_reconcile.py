"""`jetpost reconcile` over a real nats-server, a real ClickHouse and the real web app between them."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
from typer.testing import CliRunner

from analytics import ingester, progress
from analytics.clickhouse.client import Store
from analytics.reports import Reports
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from analytics.web import server
from analytics.web.settings import WebSettings
from events import facts, ids, plans, schemas, streams
from events.bus import Message
from events.schemas import Campaign
from jetpost import cli

NOW = time.time()
SETTINGS = AnalyticsSettings(batch_rows=500, batch_age_seconds=0.02)
NAMES = [f"reader{number}@example.org" for number in range(40)]
MAILS = [ids.mail_id("spring", name) for name in NAMES]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def store(tmp_path):
    opened = Store(ClickHouseSettings(url=f"chdb://{tmp_path / 'clickhouse'}", keep_days=0))
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def bus(nats_bus):
    """A campaign that planned forty recipients in two batches."""
    blobs = await nats_bus.blobs()
    for batch, names in ((1, NAMES[:25]), (2, NAMES[25:])):
        await blobs.put(plans.blob_name("spring", batch), b"".join(ids.mail_digest("spring", name) for name in names))
    await status(nats_bus, "running")
    await state(
        nats_bus,
        facts.CampaignStarted("spring", NOW, "Spring", "main"),
        facts.BatchPlanned("spring", NOW, 1, 25),
        facts.BatchPlanned("spring", NOW, 2, 15),
        facts.CampaignPlanned("spring", NOW, 2, 40, 0, 0),
    )
    return nats_bus


async def status(bus, word):
    ended = NOW if word == "finished" else None
    campaign = Campaign("spring", "Spring", word, "main", "b@example.org", NOW, planned=40, finished_at=ended)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))


async def state(bus, *stated):
    await bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in stated])


async def finish(bus):
    await state(bus, facts.CampaignClosed("spring", NOW, "finished", 0))
    await status(bus, "finished")


def accepted(mail, attempt=1):
    return facts.EmailAccepted("spring", NOW, mail, attempt, "jo@example.org", "main", "gmail", 1.0)


def deferred(mail):
    who = (mail, 1, "jo@example.org", "main", "gmail")
    return facts.EmailDeferred("spring", NOW, *who, "soft", 452, "", "full", NOW + 60)


@asynccontextmanager
async def web(bus, store):
    """Ingester and web app; yields what their settings are in the environment."""
    stop = asyncio.Event()
    reports = Store(store._settings)
    settings = WebSettings(port=0)
    listener = server.listen(settings)
    tasks = [
        asyncio.create_task(ingester.run(bus, store, SETTINGS, clock=time.time, stop=stop)),
        asyncio.create_task(server.run(bus, Reports(reports), settings, clock=time.time, listener=listener, stop=stop)),
    ]
    try:
        yield {"JETPOST_WEB_PUBLIC_URL": server.address_of(listener, settings)}
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await reports.close()
        listener.close()


@pytest.fixture
def jetpost(bus, store, nats_server):
    """Runs a command beside ingester and web app."""

    async def command(*arguments, code=0):
        async with web(bus, store) as where:
            environment = {"JETPOST_NATS_URL": nats_server.url, "COLUMNS": "160", **where}
            result = await asyncio.to_thread(CliRunner().invoke, cli.app, arguments, env=environment)
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    return command


@pytest.fixture
def reconciled(jetpost):
    """Runs the command, and returns its document, or what it prints for people."""

    async def command(*options, code=0):
        shown = await jetpost("reconcile", "spring", *options, code=code)
        return json.loads(shown) if "--json" in options else shown

    return command


async def test_a_finished_campaign_of_which_all_say_the_same_agrees(bus, reconciled):
    await state(bus, *map(accepted, MAILS[:30]), *map(deferred, MAILS[30:]))
    await state(bus, *(accepted(mail, 2) for mail in MAILS[30:]))
    await finish(bus)
    found = await reconciled("--json")
    assert (found["agree"], found["problems"]) == (True, [])
    assert (found["planned"], found["stated"], found["counted"]) == (40, 40, 40)
    assert found["events"] == found["clickhouse"] == found["rollups"]
    assert found["events"]["accepted"] == 40
    assert "agree, recipient by recipient" in await reconciled()


async def test_a_campaign_that_runs_agrees_as_far_as_it_has_come(bus, reconciled):
    await state(bus, *map(accepted, MAILS[:10]), *map(deferred, MAILS[10:15]))
    found = await reconciled("--json")
    assert (found["agree"], found["events"]["queued"], found["events"]["retrying"]) == (True, 25, 5)
    assert "25 are queued" in await reconciled()


async def test_who_was_planned_and_never_heard_of_again_is_named(bus, reconciled):
    await state(bus, *map(accepted, MAILS[:39]))
    await finish(bus)
    found = await reconciled("--json", code=1)
    assert found["differences"]["unstated"] == 1
    assert found["examples"] == [{"kind": "unstated", "mail_id": MAILS[39], "events": "", "clickhouse": ""}]
    assert found["problems"] == ["the campaign is finished and its ledger does not balance"]
    shown = await reconciled(code=1)
    assert MAILS[39] in shown
    assert "do not agree" in shown


async def test_a_stranger_in_the_place_of_somebody_planned_is_noticed_although_all_sums_are_right(bus, reconciled):
    stranger = ids.mail_id("spring", "nobody@example.org")
    await state(bus, *map(accepted, MAILS[:39]), accepted(stranger))
    await finish(bus)
    found = await reconciled("--json", code=1)
    assert found["events"]["accepted"] == 40
    assert found["problems"] == []
    assert {one["kind"]: one["mail_id"] for one in found["examples"]} == {"unstated": MAILS[39], "unplanned": stranger}


async def test_what_clickhouse_lacks_or_has_otherwise_is_named(bus, store, reconciled):
    await state(bus, *map(accepted, MAILS))
    await finish(bus)
    await reconciled("--json")
    await change(store, f"ALTER TABLE events DELETE WHERE mail_id = '{MAILS[0]}' SETTINGS mutations_sync = 1")
    later = f"(1, 'spring', '{MAILS[1]}', 2, 'bounced', now())"
    await change(store, f"INSERT INTO events (sequence, campaign, mail_id, attempt, type, at) VALUES {later}")
    await change(store, f"INSERT INTO events (sequence, campaign, mail_id, attempt, type, at) VALUES {STRANGERS}")
    found = await reconciled("--json", "--list", "1", code=1)
    different = {kind: number for kind, number in found["differences"].items() if number}
    assert different == {"only_in_events": 1, "only_in_clickhouse": 2, "differs": 1}
    told = {one["kind"]: (one["events"], one["clickhouse"]) for one in found["examples"]}
    assert told["differs"] == ("accepted (attempt 1)", "bounced (attempt 2)")
    assert len(found["examples"]) == 3
    assert "ClickHouse, mail by mail, has another ledger than EVENTS" in found["problems"]


STRANGERS = "(1, 'spring', '0', 1, 'accepted', now()), (1, 'spring', 'zz', 1, 'accepted', now())"


async def change(store, sql):
    await store._run(lambda client: client.command(sql))


async def test_without_the_lists_of_the_plan_the_other_two_are_compared(bus, reconciled):
    await state(bus, *map(accepted, MAILS))
    await finish(bus)
    await plans.forget(bus, "spring", 2)
    assert (await reconciled("--json"))["planned"] is None
    assert "The plan's lists are gone" in await reconciled()


async def test_it_waits_for_the_ingester(bus, store, reconciled):
    await state(bus, *map(accepted, MAILS))
    await finish(bus)
    book = progress.Book(await bus.bucket(streams.INGEST))
    assert (await book.read()).ingested == 0
    assert (await reconciled("--json"))["counted"] == 40


async def test_events_that_are_gone_are_told_rather_than_counted_as_lost(bus, reconciled):
    await bus.delete("EVENTS", [2])
    with pytest.raises(AssertionError, match="EVENTS no longer has the whole campaign"):
        await reconciled()


async def test_a_rebuild_mends_what_clickhouse_lacks(bus, store, jetpost, reconciled):
    await state(bus, *map(accepted, MAILS))
    await finish(bus)
    await reconciled("--json")
    await change(store, "TRUNCATE TABLE events")
    await reconciled("--json", code=1)
    assert "filled again from EVENTS, up to event 45" in await jetpost("rebuild", "--yes")
    assert (await reconciled("--json"))["agree"]


async def test_a_rebuild_that_would_lose_events_is_refused(bus, jetpost, reconciled):
    await state(bus, *map(accepted, MAILS))
    await reconciled("--json")
    await bus.delete("EVENTS", [1, 2, 3])
    with pytest.raises(AssertionError, match="--drop-older"):
        await jetpost("rebuild", "--yes")
    assert "filled again" in await jetpost("rebuild", "--yes", "--drop-older")
