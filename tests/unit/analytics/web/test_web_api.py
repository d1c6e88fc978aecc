"""The JSON API: what it answers, what it refuses, and what it does when half the world is down."""

import msgspec
import pytest

from analytics.web import models
from events import campaigns, schedule

COMMAND = {"X-Jetpost-Command": "1"}


def decoded(response, struct):
    """The answer, checked against the struct that documents it."""
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=struct)


async def test_what_readers_did_is_told_with_links(client):
    found = (await client.get("/api/campaigns/october-news/engagement")).json()
    assert found["opens"] > found["unique_opens"] > found["unique_clicks"] > found["unsubscribed"] > 0
    assert found["links"][0]["url"] == "https://shop.example/spring?from=mail"
    report = (await client.get("/api/campaigns/october-news/report")).json()
    assert report["engagement"] == found
    assert report["campaign"]["tracking"] == {"opens": True, "clicks": True}


async def test_campaigns_are_listed_the_newest_first(client):
    overview = decoded(await client.get("/api/campaigns"), models.Overview)
    begun = [card.campaign.created_at for card in overview.campaigns]
    assert len(begun) == 6
    assert begun == sorted(begun, reverse=True)


async def test_the_ledger_of_a_running_campaign_adds_up_to_its_plan(client):
    detail = decoded(await client.get("/api/campaigns/spring-launch"), models.CampaignDetail)
    progress = detail.figures.progress
    assert progress.ledger.planned == 2_000_000
    assert (progress.consistent, progress.balanced) == (True, False)
    assert progress.ledger.accepted > 1_000_000


async def test_the_bus_says_that_a_campaign_is_paused_although_no_fact_does(client):
    detail = decoded(await client.get("/api/campaigns/win-back"), models.CampaignDetail)
    assert detail.campaign.status == "paused"


async def test_queue_depths_come_from_the_lanes(client):
    detail = decoded(await client.get("/api/campaigns/spring-launch"), models.CampaignDetail)
    assert {lane.provider: lane.waiting for lane in detail.lanes} == {
        "gmail": 40,
        "microsoft": 33,
        "yahoo": 26,
        "apple": 19,
        "other": 12,
    }


async def test_a_report_holds_everything(client):
    report = decoded(await client.get("/api/campaigns/october-news/report"), models.CampaignReport)
    assert report.figures.progress.balanced
    assert report.figures.mails_per_second > 1_000
    assert report.rate.points
    assert report.latency.points
    assert report.providers
    assert report.failures


@pytest.mark.parametrize(
    ("part", "struct"),
    [
        ("rate", models.RateSeries),
        ("latency", models.LatencySeries),
        ("providers", models.Providers),
        ("failures", models.Failures),
        ("doubts", models.Doubts),
        ("events", models.EventPage),
    ],
)
async def test_each_part_answers_as_documented(client, part, struct):
    decoded(await client.get(f"/api/campaigns/spring-launch/{part}"), struct)


async def test_a_rate_has_the_step_that_was_asked_for(client):
    series = decoded(await client.get("/api/campaigns/spring-launch/rate?step_seconds=10"), models.RateSeries)
    assert series.step_seconds == 10
    assert {later.at - point.at for point, later in zip(series.points, series.points[1:], strict=False)} == {10}


async def test_events_are_filtered_and_paged(client):
    path = "/api/campaigns/spring-launch/events?type=deferred&type=bounced&limit=5"
    first = decoded(await client.get(path), models.EventPage)
    second = decoded(await client.get(f"{path}&before_sequence={first.before_sequence}"), models.EventPage)
    assert {event.type for event in first.events} <= {"deferred", "bounced"}
    assert first.events[-1].sequence > second.events[0].sequence


@pytest.mark.parametrize(
    "query",
    [
        "type=unheard",
        "limit=0",
        "limit=100000",
        "colour=red",
        "after_sequence=-1",
        "before_sequence=18446744073709551616",
        "since=-1",
        "until=nan",
        "since=1e300",
    ],
)
async def test_a_filter_that_means_nothing_is_refused_with_its_name(client, query):
    response = await client.get(f"/api/campaigns/spring-launch/events?{query}")
    assert response.status_code == 422
    assert query.split("=")[0] in response.json()["detail"]


async def test_an_unknown_campaign_is_a_problem_document(client):
    response = await client.get("/api/campaigns/nowhere")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    problem = msgspec.json.decode(response.content, type=models.Problem)
    assert problem.type == "urn:jetpost:problem:campaign-not-found"
    assert "nowhere" in problem.detail
    assert problem.instance == "/api/campaigns/nowhere"


async def test_an_unknown_path_is_a_problem_document(client):
    response = await client.get("/api/nothing/here")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_a_campaign_is_paused_and_resumed(client, bus):
    paused = decoded(await client.post("/api/campaigns/spring-launch/pause", headers=COMMAND), models.Changed)
    assert paused.campaign.status == "paused"
    assert (await campaigns.get(bus, "spring-launch")).status == "paused"
    resumed = decoded(await client.post("/api/campaigns/spring-launch/resume", headers=COMMAND), models.Changed)
    assert resumed.campaign.status == "running"


async def test_cancelling_says_how_many_mails_left_the_queue(client, bus):
    cancelled = decoded(await client.post("/api/campaigns/win-back/cancel", headers=COMMAND), models.Changed)
    assert (cancelled.campaign.status, cancelled.removed) == ("cancelled", 40 + 33 + 26 + 19 + 12)


async def test_pausing_a_finished_campaign_is_refused_with_the_reason(client):
    response = await client.post("/api/campaigns/october-news/pause", headers=COMMAND)
    assert response.status_code == 409
    assert "finished" in response.json()["detail"]


async def test_without_clickhouse_campaigns_are_listed_and_the_lack_is_said(client, reports):
    reports.unavailable = True
    overview = decoded(await client.get("/api/campaigns"), models.Overview)
    assert overview.health.analytics == "unavailable"
    assert "nothing is lost" in overview.health.message
    assert len(overview.campaigns) == 4 + 2
    assert all(card.progress is None for card in overview.campaigns)


async def test_figures_known_before_clickhouse_went_are_shown_with_their_age(client, reports, clock):
    await client.get("/api/campaigns")
    seen_at = clock()
    clock.advance(30)
    reports.unavailable = True
    overview = decoded(await client.get("/api/campaigns"), models.Overview)
    assert overview.health.figures_at == seen_at
    assert all(card.progress is not None for card in overview.campaigns)


async def test_the_sparkline_of_a_campaign_that_was_seen_running_goes_to_its_end(client, bus, plays, clock):
    async def sparkline():
        overview = decoded(await client.get("/api/campaigns"), models.Overview)
        return next(card.sparkline for card in overview.campaigns if card.campaign.id == "spring-launch")

    spring = next(play for play in plays if play.campaign.id == "spring-launch")
    running = await sparkline()
    clock.advance(spring.length)
    await campaigns.change(bus, "spring-launch", lambda campaign: campaigns.finish(campaign, clock()))
    assert sum(await sparkline()) > 1.2 * sum(running)
    assert await sparkline() == await sparkline()


async def test_without_clickhouse_a_report_is_refused_for_now(client, reports):
    reports.unavailable = True
    response = await client.get("/api/campaigns/spring-launch/report")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["type"] == "urn:jetpost:problem:analytics-unavailable"


async def test_without_nats_figures_are_shown_and_commands_refused_for_now(client, bus):
    bus.unavailable = True
    overview = decoded(await client.get("/api/campaigns"), models.Overview)
    assert overview.health.bus == "unavailable"
    assert len(overview.campaigns) == 6
    assert (await client.post("/api/campaigns/spring-launch/pause", headers=COMMAND)).status_code == 503


async def test_readiness_names_what_does_not_answer(client, reports):
    assert (await client.get("/readyz")).json() == {"bus": "ok", "clickhouse": "ok"}
    reports.unavailable = True
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert "ClickHouse" in response.json()["clickhouse"]


async def test_the_app_lives_whatever_is_down(client, bus, reports):
    bus.unavailable = reports.unavailable = True
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/")).status_code == 200


async def test_requests_are_counted_by_route_and_not_by_campaign(client):
    await client.get("/api/campaigns/spring-launch")
    metrics = (await client.get("/metrics")).text
    assert 'http_request_seconds_count{route="/api/campaigns/{id}",status="200"}' in metrics
    assert "spring-launch" not in metrics


async def test_a_scheduled_campaign_says_when_it_starts_and_one_that_missed_it_why_it_waits(client, bus, clock):
    start = clock() + 3_600
    await campaigns.change(bus, "spring-launch", lambda one: msgspec.structs.replace(one, starts_at=start))
    told = (await client.get("/api/campaigns/spring-launch")).json()["campaign"]
    assert (told["scheduled"], told["starts_at"], told["started_at"]) == (True, start, None)
    await campaigns.change(bus, "spring-launch", lambda one: schedule.begin(one, start + 9_000))
    told = (await client.get("/api/campaigns/spring-launch")).json()["campaign"]
    assert (told["status"], told["pause_reason"], told["scheduled"]) == ("paused", "past_due", True)
    assert "jetpost resume spring-launch" in told["pause_note"]
    clock.advance(20_000)
    resumed = (await client.post("/api/campaigns/spring-launch/resume", headers=COMMAND)).json()["campaign"]
    assert (resumed["status"], resumed["started_at"], resumed["pause_reason"]) == ("running", clock(), "")
