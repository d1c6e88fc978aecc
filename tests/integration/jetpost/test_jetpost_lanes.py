"""`jetpost lanes` on a real nats-server."""

import asyncio
import json

import msgspec
import pytest
from typer.testing import CliRunner

from events import streams
from events.pace import Pace, Why
from jetpost import cli
from sender.throttle.keeper import Keeper
from sender.throttle.state import State

WORDS = "An unusual rate of mail comes from your network"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def jetpost(nats_server):
    """Runs a command as a person would, beside the test's event loop."""

    async def command(*arguments: str, code: int = 0) -> str:
        environment = {
            "JETPOST_NATS_URL": nats_server.url,
            "COLUMNS": "200",
            "JETPOST_SENDER_POOLS_DEFAULT_LANES_GMAIL_RATE": "100",
        }
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, ["lanes", *arguments], env=environment)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output if code == 0 else f"{result.output}{result.exception}"

    return command


@pytest.fixture
async def slow(nats_bus):
    """The lane default.gmail, slowed down a moment ago."""
    now = await nats_bus.server_time()
    why = Why("throttled", now, 421, "4.7.28", WORDS, 0.25)
    pace = Pace(rate=37.5, peak=50.0, decreased_at=now, slow_since=now, why=why, configured=100.0)
    await Keeper(nats_bus).change("default.gmail", lambda _: State(tat=now, used=7, pace=pace))


async def state_of(bus, key):
    entry = await (await bus.bucket(streams.THROTTLE)).get(key)
    return msgspec.json.decode(entry.value, type=State)


@pytest.mark.usefixtures("slow")
async def test_a_slow_lane_is_told_with_the_words_of_its_provider(jetpost):
    first, why = (await jetpost()).splitlines()
    assert first.startswith("default.gmail")
    assert "slow      37.5/s of 100/s" in first
    assert "since" in first
    assert "100/s again at" in first
    assert why.strip() == f"the provider asked to slow down (25% put off): 421 4.7.28 {WORDS}"


async def test_a_configured_limit_is_told_and_with_all_every_lane(jetpost, nats_bus):
    assert (await jetpost()).split() == ["default.gmail", "limited", "100/s"]
    shown = [line.split()[0] for line in (await jetpost("--all")).splitlines()]
    assert shown == [f"default.{name}" for name in ("all", "gmail", "microsoft", "yahoo", "apple", "other")]


@pytest.mark.usefixtures("slow")
async def test_lanes_are_json_with_everything_that_is_known(jetpost):
    found = {lane["provider"]: lane for lane in map(json.loads, (await jetpost("--json")).splitlines())}
    assert len(found) == 6
    gmail = found["gmail"]
    assert (gmail["condition"], gmail["usual_rate"], gmail["why"]["text"]) == ("slow", 100.0, WORDS)


@pytest.mark.usefixtures("slow")
async def test_a_person_s_limit_replaces_it_and_leaves_the_rest_alone(jetpost, nats_bus):
    assert "set       20/s" in await jetpost("limit", "default", "gmail", "20")
    state = await state_of(nats_bus, "default.gmail")
    assert (state.pace.override, state.pace.rate, state.used) == (20.0, None, 7)
    assert "fixed" in await jetpost("limit", "default", "all", "500", "--fixed")
    assert (await state_of(nats_bus, "default")).pace.fixed


@pytest.mark.usefixtures("slow")
async def test_clearing_gives_a_lane_its_configured_limit_again(jetpost, nats_bus):
    assert (await jetpost("clear", "default", "gmail")).split() == ["default.gmail", "limited", "100/s"]
    state = await state_of(nats_bus, "default.gmail")
    assert (state.pace, state.used) == (Pace(), 7)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("limit", "nowhere", "gmail", "5"), "there is no pool 'nowhere' in the settings; there are default"),
        (("clear", "default", "hotmail"), "'hotmail' is no mailbox provider: say gmail, microsoft"),
    ],
)
async def test_what_is_not_there_is_said(jetpost, nats_bus, arguments, said):
    assert said in await jetpost(*arguments, code=1)


async def test_a_rate_of_nothing_is_refused(jetpost, nats_bus):
    assert "0.001" in await jetpost("limit", "default", "gmail", "0", code=2)
