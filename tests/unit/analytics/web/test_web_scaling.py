"""How many senders are wanted, over the API and in the overview."""

import pytest

from analytics.scaling import stored
from analytics.scaling.decision import Decision, Limited
from analytics.scaling.stored import STALE_SECONDS, Stored


def decision(at):
    return Decision(
        at=at,
        wanted=1,
        reason="provider_limited",
        why="More senders would not help spring: main.gmail takes 90 mails/s at present, and it will be late.",
        alive=1,
        needed=1,
        late_seconds={"spring": None},
        limited=(Limited("spring", "main.gmail", 90.0),),
        capacity={"main": 450.0},
    )


@pytest.fixture
async def decided(bus, clock):
    await stored.write(bus, Stored(decision(clock())))


@pytest.mark.usefixtures("decided")
async def test_what_was_decided_is_told_with_the_reason(client):
    found = (await client.get("/api/scaling")).json()["decision"]
    assert (found["wanted"], found["reason"], found["late_seconds"]) == (1, "provider_limited", {"spring": None})
    assert found["limited"] == [{"campaign": "spring", "by": "main.gmail", "rate": 90.0}]
    assert found["why"].startswith("More senders would not help")


@pytest.mark.usefixtures("decided")
async def test_the_overview_has_it(client):
    assert (await client.get("/api/campaigns")).json()["scaling"]["wanted"] == 1


async def test_where_nobody_decides_nothing_is_told(bus, client, clock):
    assert (await client.get("/api/scaling")).json() == {"decision": None}
    await stored.write(bus, Stored(decision(clock() - STALE_SECONDS - 1)))
    assert (await client.get("/api/campaigns")).json()["scaling"] is None
