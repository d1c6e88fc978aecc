"""What the circuit breaker stops, over the API and in the notice of the dashboard."""

import msgspec
import pytest

from analytics.web import models
from events import breaker
from events.breaker import EVERY_LANE, Opening

COMMAND = {"X-Jetpost-Command": "1"}
REASON = "30 of 400 mails (7.50%) were refused for policy or reputation; allowed are 5.00%"
BLOCKED = Opening(1_800_000_000.0, "blocks", 30, 400, 0.05, REASON, stated=True)


@pytest.fixture
async def stopped(bus):
    """A campaign with a lane that is stopped."""
    await breaker.change(bus, "spring-launch", lambda known: breaker.open_lane(known, "main.gmail", BLOCKED))


def decoded(response):
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=models.Breakers).stopped


@pytest.mark.usefixtures("stopped")
async def test_what_is_stopped_is_listed_with_the_mails_that_wait(client):
    [found] = decoded(await client.get("/api/breakers", params={"campaign": "spring-launch"}))
    assert (found.pool, found.provider, found.cause, found.reason) == ("main", "gmail", "blocks", REASON)
    assert decoded(await client.get("/api/breakers", params={"campaign": "win-back"})) == []


@pytest.mark.usefixtures("stopped")
async def test_the_dashboard_says_so_in_the_overview_and_on_the_campaigns_page(client):
    for page in ("/api/campaigns", "/api/campaigns/spring-launch", "/api/campaigns/spring-launch/report"):
        message = (await client.get(page)).json()["health"]["message"]
        assert f"The circuit breaker stops the lane main.gmail of spring-launch: {REASON}." in message
        assert "jetpost breaker resume spring-launch" in message
    assert "breaker" not in (await client.get("/api/campaigns/win-back")).json()["health"]["message"]


@pytest.mark.usefixtures("stopped")
async def test_each_lane_that_is_stopped_has_a_line_of_its_own(client, bus):
    await breaker.change(bus, "spring-launch", lambda known: breaker.open_lane(known, "main.yahoo", BLOCKED))
    message = (await client.get("/api/campaigns/spring-launch")).json()["health"]["message"]
    told = [line for line in message.splitlines() if line.startswith("The circuit breaker stops the lane main.")]
    assert [line.endswith("jetpost breaker resume spring-launch.") for line in told] == [True, True]


@pytest.mark.usefixtures("stopped")
async def test_a_lane_is_let_go_on(client, bus):
    answer = await client.post("/api/campaigns/spring-launch/breaker/resume?provider=gmail", headers=COMMAND)
    assert [one.provider for one in decoded(answer)] == ["gmail"]
    assert breaker.stopped(await breaker.get(bus, "spring-launch")) == {}


async def test_a_canary_that_failed_is_resumed_as_a_whole(client, bus):
    failed = msgspec.structs.replace(BLOCKED, cause="canary")
    await breaker.change(bus, "spring-launch", lambda known: breaker.open_lane(known, EVERY_LANE, failed))
    [found] = decoded(await client.get("/api/breakers"))
    assert (found.pool, found.provider) == ("", "")
    refused = await client.post("/api/campaigns/spring-launch/breaker/resume?provider=gmail", headers=COMMAND)
    assert refused.status_code == 409
    assert "resume it without a provider" in refused.json()["detail"]
    decoded(await client.post("/api/campaigns/spring-launch/breaker/resume", headers=COMMAND))
    assert (await breaker.get(bus, "spring-launch")).canary.passed_at is not None


@pytest.mark.parametrize(("campaign", "status"), [("spring-launch", 409), ("nobody", 404)])
async def test_where_nothing_is_stopped_resuming_is_refused(client, campaign, status):
    answer = await client.post(f"/api/campaigns/{campaign}/breaker/resume", headers=COMMAND)
    assert answer.status_code == status


@pytest.mark.usefixtures("stopped")
async def test_resuming_needs_the_header_of_commands(client):
    assert (await client.post("/api/campaigns/spring-launch/breaker/resume")).status_code == 403
