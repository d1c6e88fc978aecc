"""The dashboard in a real browser: what a person would see, and nothing that the policy forbids."""

import asyncio
import time

import msgspec
import pytest
from chromium import CHROMIUM, browser
from web_samples import SampleReports, sample_bus, sample_plays

from analytics.scaling import stored
from analytics.scaling.decision import Decision
from analytics.web import server
from analytics.web.settings import WebSettings
from events import breaker, campaigns, schedule, streams
from events.ledger import Ledger
from events.pace import Pace, Why

pytestmark = [pytest.mark.chromium, pytest.mark.skipif(CHROMIUM is None, reason="Debian's Chromium is not installed")]


@pytest.fixture
def plays():
    return sample_plays(time.time())


@pytest.fixture
async def bus(plays):
    bus = await sample_bus(plays, time.time)
    yield bus
    await bus.close()


@pytest.fixture
def reports(plays):
    return SampleReports(plays, time.time)


@pytest.fixture
async def served(bus, reports):
    settings, stop = WebSettings(port=0), asyncio.Event()
    listener = server.listen(settings)
    running = asyncio.create_task(
        server.run(bus, reports, settings, clock=time.time, listener=listener, stop=stop), name="served"
    )
    yield server.address_of(listener, settings)
    stop.set()
    await asyncio.wait_for(running, 10)


@pytest.fixture
async def page(tmp_path):
    async with browser(tmp_path / "profile") as page:
        yield page


DRAWN = """(() => {
    const chart = Chart.getChart(document.querySelectorAll("canvas")[1]);
    return chart.data.datasets.map((_, index) => {
        const points = chart.getDatasetMeta(index).data;
        return [points[0].options.backgroundColor, points.every((point) => point.y === point.getProps(["y"], true).y)];
    });
})()"""
TIME_LEFT = "[...document.querySelectorAll('.tile')].find((tile) => tile.textContent.startsWith('Time left'))"
CELLS = """Object.fromEntries([...document.querySelectorAll("#ledger tr[data-outcome]")]
    .map((row) => [row.dataset.outcome, Number(row.querySelector("td").textContent.replaceAll(/\\D/g, ""))]))"""


async def test_a_finished_campaign_shows_a_ledger_that_visibly_sums_to_its_plan(served, page):
    await page.open(f"{served}/campaigns/october-news")
    await page.wait_for('document.querySelector(".seal")?.dataset.state === "balanced"')

    counts = await page.evaluate(CELLS)
    shown = [
        await page.evaluate(f"document.querySelector('#ledger .{row} .num').textContent") for row in ("sum", "planned")
    ]

    assert await page.evaluate("document.querySelector('h1').textContent") == "October news"
    drawn = await page.evaluate(DRAWN)
    assert drawn == [["rgb(125 155 234 / 1)", True], ["rgb(35 82 200 / 1)", True]], "its own colours, and at rest"
    assert set(counts) == set(Ledger.__struct_fields__) - {"planned"}
    assert sum(counts.values()) == 184_220
    assert shown == ["184,220", "184,220"]
    assert page.complaints == []


async def test_the_overview_leads_to_a_campaign_without_loading_the_page_anew(served, page):
    await page.open(f"{served}/")
    await page.wait_for("document.querySelectorAll('.campaign').length === 6")
    await page.evaluate("window.mark = 1; document.querySelector('.campaign[data-status=running] a').click()")
    await page.wait_for("location.pathname === '/campaigns/spring-launch' && document.querySelector('canvas')")
    assert await page.evaluate("window.mark") == 1
    assert page.complaints == []


async def test_lanes_that_are_held_back_are_listed_with_the_reason(served, bus, page):
    await page.open(f"{served}/")
    await page.wait_for("document.querySelectorAll('.campaign').length === 6")
    assert await page.evaluate("document.querySelector('[aria-label=Lanes]').hidden")
    why = Why("throttled", time.time(), 421, "4.7.28", "An unusual rate of mail comes from your network", 0.25)
    pace = Pace(rate=37.5, peak=50.0, decreased_at=time.time(), slow_since=time.time(), why=why, configured=100.0)
    paused = msgspec.structs.replace(pace, not_before=time.time() + 900, configured=None)
    bucket = await bus.bucket(streams.THROTTLE)
    await bucket.put("main.gmail", msgspec.json.encode({"pace": pace}))
    await bucket.put("main.yahoo", msgspec.json.encode({"pace": paused}))
    await page.wait_for("document.querySelectorAll('[aria-label=Lanes] tbody tr').length === 2")
    told = await page.evaluate("document.querySelector('[aria-label=Lanes] tbody').textContent")
    assert "main · Gmail" in told
    assert "421 4.7.28 An unusual rate" in told
    assert page.complaints == []


async def test_it_is_said_how_many_senders_are_wanted_and_why(served, bus, page):
    await page.open(f"{served}/")
    await page.wait_for("document.querySelectorAll('.campaign').length === 6")
    assert await page.evaluate("document.querySelector('[aria-label=Senders]').hidden")
    why = "More senders would not help spring: main.gmail takes 90 mails/s at present, and it will be 2 h 5 min late."
    decision = Decision(
        at=time.time(),
        wanted=1,
        reason="provider_limited",
        why=why,
        alive=1,
        needed=1,
        late_seconds={"spring": 7_500.0},
    )
    await stored.write(bus, stored.Stored(decision))
    await page.wait_for("!document.querySelector('[aria-label=Senders]').hidden")
    told = await page.evaluate("document.querySelector('[aria-label=Senders]').textContent")
    assert told == f"Senders: 1 at work, 1 wanted. {why}"
    assert page.complaints == []


async def test_lanes_that_stand_still_are_named_in_place_of_a_time_and_all_pools_are(served, bus, page):
    routes = {"gmail": ("warm-ip", "relay")}
    await campaigns.change(bus, "spring-launch", lambda one: msgspec.structs.replace(one, routes=routes))
    await page.open(f"{served}/campaigns/spring-launch")
    await page.wait_for("document.querySelector('.meta')?.textContent.includes('Poolswarm-ip, relay')")
    await page.wait_for(f"/^\\d/.test({TIME_LEFT}?.querySelector('strong').textContent)")

    pace = Pace(rate=1.0, peak=9.0, decreased_at=time.time(), slow_since=time.time(), not_before=time.time() + 900)
    await (await bus.bucket(streams.THROTTLE)).put("relay.yahoo", msgspec.json.encode({"pace": pace}))
    await page.wait_for(f"{TIME_LEFT}.querySelector('strong').textContent === 'Paused'")
    assert "only Yahoo until" in await page.evaluate(f"{TIME_LEFT}.textContent")
    assert "paused until" in await page.evaluate("document.querySelector('[aria-label=Queue] table').textContent")

    opening = breaker.Opening(time.time(), "blocks", 30, 400, 0.05, "30 of 400 mails were refused", stated=True)
    await breaker.change(bus, "spring-launch", lambda health: breaker.open_lane(health, "warm-ip.gmail", opening))
    await page.wait_for(f"{TIME_LEFT}.querySelector('strong').textContent === 'Stopped'")
    assert "Gmail · warm-ip, relay · stopped" in await page.evaluate(
        "document.querySelector('[aria-label=Queue] table').textContent"
    )
    await page.open(f"{served}/")
    row = "document.querySelector('.campaign[data-status=running]')"
    await page.wait_for(f"{row}?.textContent.includes('a lane is stopped')")
    assert page.complaints == []


async def test_numbers_move_by_themselves(served, page):
    await page.open(f"{served}/campaigns/spring-launch")
    await page.wait_for("document.querySelector('.tile strong')?.textContent.length > 1")
    await page.evaluate("window.before = document.querySelector('.tile strong').textContent; null")
    await page.wait_for("document.querySelector('.tile strong').textContent !== window.before")


async def test_a_campaign_is_paused_after_asking(served, bus, page):
    await page.open(f"{served}/campaigns/spring-launch")
    await page.wait_for("document.querySelector('.buttons button')")
    await page.evaluate("document.querySelector('.buttons button').click()")
    assert (await campaigns.get(bus, "spring-launch")).status == "running"
    await page.evaluate("document.querySelector('dialog .button-main').click()")
    await page.wait_for("document.querySelector('.pill').dataset.status === 'paused'")
    assert (await campaigns.get(bus, "spring-launch")).status == "paused"


async def test_mails_in_doubt_are_listed_where_there_are_any(served, page):
    await page.open(f"{served}/campaigns/spring-launch")
    await page.wait_for("document.querySelectorAll('#doubts tbody tr').length === 3")
    assert await page.evaluate("document.getElementById('doubts').hidden") is False
    assert page.complaints == []


async def test_what_readers_did_is_shown_with_machines_apart(served, page):
    await page.open(f"{served}/campaigns/october-news")
    await page.wait_for("document.querySelectorAll('#readers tbody tr').length === 3")
    labels = await page.evaluate(
        "[...document.querySelectorAll('#readers .tile-label')].map((node) => node.textContent)"
    )
    assert labels == ["Opened", "Clicked", "Unsubscribed", "Complained"]
    assert "by machines" in await page.evaluate("document.querySelector('#readers li .note').textContent")
    assert page.complaints == []


async def test_a_page_without_doubts_has_no_list_of_them(served, page):
    await page.open(f"{served}/campaigns/win-back")
    await page.wait_for("document.querySelector('canvas')")
    hidden = await page.evaluate("document.getElementById('doubts').hidden")
    assert hidden is (
        await page.evaluate("document.querySelector('#ledger tr[data-outcome=in_doubt] td').textContent") == "0"
    )


async def test_without_clickhouse_the_page_says_what_is_missing(served, reports, page):
    reports.unavailable = True
    await page.open(f"{served}/campaigns/spring-launch")
    await page.wait_for("!document.getElementById('banner').hidden")
    assert "nothing is lost" in await page.evaluate("document.getElementById('banner').textContent")
    assert page.complaints == []


async def test_an_unknown_campaign_says_so(served, page):
    await page.open(f"{served}/campaigns/nowhere")
    await page.wait_for("document.querySelector('.empty h2')?.textContent === 'No such campaign'")


async def test_a_scheduled_campaign_says_when_it_starts_and_a_missed_start_what_to_do(served, bus, page):
    def scheduled(one):
        return msgspec.structs.replace(one, starts_at=time.time() + 3_600, priority="urgent")

    await campaigns.change(bus, "spring-launch", scheduled)
    await page.open(f"{served}/campaigns/spring-launch")
    await page.wait_for("document.querySelector('.pill')?.dataset.status === 'scheduled'")
    await page.wait_for("[...document.querySelectorAll('.meta dt')].some((word) => word.textContent === 'Starts')")
    assert "urgent" in await page.evaluate("document.querySelector('.meta').textContent")
    assert await page.evaluate("document.querySelector('.notice').hidden")

    await campaigns.change(bus, "spring-launch", lambda one: schedule.begin(one, time.time() + 9_000))
    await page.wait_for("!document.querySelector('.notice').hidden")
    assert "It missed its start" in await page.evaluate("document.querySelector('.notice').textContent")
    await page.open(f"{served}/")
    await page.wait_for("document.querySelectorAll('.campaign').length === 6")
    assert page.complaints == []
