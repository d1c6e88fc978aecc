"""`jetpost breaker` and `jetpost warmup` on a real nats-server."""

import asyncio
import json
import time

import msgspec
import pytest
from typer.testing import CliRunner

from events import breaker, facts, ids, schemas, streams, subjects, warmup
from events.breaker import EVERY_LANE, Opening
from events.bus import Message
from events.facts import BreakerClosed
from events.schemas import Campaign
from events.warmup import Day
from jetpost import cli

NOW = time.time()
TODAY = warmup.day_of(NOW)
REASON = "30 of 400 mails (7.50%) were refused for policy or reputation; allowed are 5.00%"
BLOCKED = Opening(NOW, "blocks", 30, 400, 0.05, REASON, stated=True)
WARMING = {"JETPOST_SENDER_POOLS_MAIN_WARMUP_ENABLED": "true"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def jetpost(nats_server):
    """Runs a command as a person would, beside the test's event loop; `fault` is what it says where it refuses."""

    async def command(*arguments: str, code: int = 0, **variables: str) -> str:
        environment = {"JETPOST_NATS_URL": nats_server.url, "COLUMNS": "200", **WARMING, **variables}
        run = CliRunner().invoke
        result = await asyncio.to_thread(run, cli.app, arguments, env=environment)
        if code:
            assert result.exception is not None
            return str(result.exception)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return command


@pytest.fixture
async def bus(nats_bus):
    """A campaign with three mails in its lane for gmail, which is stopped."""
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", NOW, planned=3)
    await (await nats_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    for lane in streams.lanes("spring", "main"):
        await nats_bus.create_consumer(lane)
    due = subjects.mail_due("main", "gmail", "spring")
    await nats_bus.publish("MAIL", [Message(due, b"", ids.attempt_id(f"mail{number}", 1)) for number in range(3)])
    await breaker.change(nats_bus, "spring", lambda known: breaker.open_lane(known, "main.gmail", BLOCKED))
    return nats_bus


@pytest.mark.usefixtures("bus")
async def test_what_is_stopped_is_listed_with_its_reason_and_the_mails_that_wait(jetpost):
    listed = await jetpost("breaker", "list")
    assert "spring  main gmail  3 mails wait since" in listed
    assert REASON in listed
    [line] = (await jetpost("breaker", "list", "--campaign", "spring", "--json")).splitlines()
    assert json.loads(line) | {"since": 0} == {
        "campaign": "spring",
        "pool": "main",
        "provider": "gmail",
        "since": 0,
        "cause": "blocks",
        "reason": REASON,
        "held": 3,
    }


async def test_resuming_lets_it_go_on_and_states_so_once(jetpost, bus):
    assert "main gmail of spring goes on, with 3 mails" in await jetpost("breaker", "resume", "spring", "gmail")
    assert await jetpost("breaker", "list") == "No lane is stopped.\n"
    assert "No lane of spring is stopped" in await jetpost("breaker", "resume", "spring", code=2)
    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    assert [(type(fact), fact.provider, fact.by) for fact in told] == [(BreakerClosed, "gmail", "cli")]


async def test_a_campaign_that_its_canary_stopped_is_resumed_as_a_whole(jetpost, bus):
    failed = msgspec.structs.replace(BLOCKED, cause="canary")
    await breaker.change(bus, "spring", lambda known: breaker.open_lane(known, EVERY_LANE, failed))
    assert "spring  every lane  3 mails wait" in await jetpost("breaker", "list")
    assert "resume it without a provider" in await jetpost("breaker", "resume", "spring", "gmail", code=2)
    assert "every lane of spring goes on" in await jetpost("breaker", "resume", "spring")
    assert breaker.stopped(await breaker.get(bus, "spring")) == {}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("spring", "yahoo"), "spring has no stopped lane for 'yahoo'; stopped: main.gmail."),
        (("nobody",), "There is no campaign 'nobody'"),
    ],
)
@pytest.mark.usefixtures("bus")
async def test_resuming_what_is_not_there_says_what_there_is(jetpost, arguments, fault):
    assert fault in await jetpost("breaker", "resume", *arguments, code=2)


async def warming(bus, lane, **fields):
    state = msgspec.structs.replace(warmup.fresh(lane, TODAY), **fields)
    await warmup.change(bus, lane, TODAY, lambda _: state)


async def test_lanes_are_listed_with_their_allowance_and_their_last_days(jetpost, bus):
    await warming(bus, "main.gmail", step=4, days=(Day(TODAY - 1, 392, 390, step=3, verdict="good"),))
    await warming(bus, "other.gmail", step=4)
    listed = await jetpost("warmup", "list", "--days", "5")
    assert "main gmail  day 4  549 allowed today, 0 sent; " in listed
    assert "392 allowed, 390 sent: good" in listed
    assert "other" not in listed
    [line] = (await jetpost("warmup", "list", "--json")).splitlines()
    assert json.loads(line)["allowed_today"] == 549


async def test_a_lane_is_moved_to_another_day_of_its_plan_or_called_warm(jetpost, bus):
    await warming(bus, "main.gmail")
    assert "main gmail  day 10  4,137 allowed today" in await jetpost("warmup", "set", "main", "gmail", "--day", "10")
    assert (await jetpost("warmup", "set", "main", "--warm")).count("warm  any number allowed today") == 5
    assert {state.done for state in await warmup.all_of(bus)} == {True}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("main",), "say either --day N or --warm"),
        (("nowhere", "--warm"), "there is no pool 'nowhere' in the settings; there are: main"),
        (("main", "hotmail", "--warm"), "'hotmail' is no mailbox provider"),
        (("main", "--day", "99"), "the plan of main has 32 days; after the last one a lane is warm: say --warm"),
    ],
)
@pytest.mark.usefixtures("bus")
async def test_what_cannot_be_set_is_told(jetpost, arguments, fault):
    assert fault in await jetpost("warmup", "set", *arguments, code=2)


@pytest.mark.usefixtures("bus")
async def test_without_lanes_that_are_warmed_up_it_says_how_to_begin(jetpost):
    assert "Nothing has been sent yet through main" in await jetpost("warmup", "list")
    cold = {"JETPOST_SENDER_POOLS_MAIN_WARMUP_ENABLED": "false"}
    assert "Set sender.pools.NAME.warmup.enabled" in await jetpost("warmup", "list", **cold)
    told = await jetpost("warmup", "set", "main", "--day", "2", code=2, **cold)
    assert "main is not being warmed up: set sender.pools.main.warmup.enabled" in told
