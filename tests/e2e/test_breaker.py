"""`jetpost up` with two senders and providers that refuse mail: what stops, what the commands say, and how it ends."""

import json
import re
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import jetpost_command
import pytest
import pytest_asyncio
import smtp_servers
from process_watching import until as until_within

from jetpost import runtime

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLE = Path(__file__).parents[2] / "examples" / "newsletter"
SETTINGS = """
[web]
port = 0

[sender]
fetch_wait_seconds = 0.5

[sender.retry]
transient_base_seconds = 0.2

[sender.breaker]
minimum_mails = 30
report_seconds = 0.1

[sender.pools.default]
port = {port}
max_connections = 2
pipeline_depth = 4

[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
"""


async def until(condition):
    """Several processes on a busy machine have much to do here."""
    await until_within(condition, seconds=90)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exits():
    async with AsyncExitStack() as exits:
        yield exits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("breaking")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(exits, folder):
    """The address of a stack in the folder."""
    simulator = await exits.enter_async_context(smtp_servers.simulator(folder / "simulator", latency_seconds=0.02))
    (folder / "jetpost.toml").write_text(SETTINGS.format(port=simulator.port), "utf-8")
    process = await jetpost_command.start(folder, "up", "--senders", "2")
    exits.push_async_callback(process.communicate)
    exits.callback(process.terminate)
    await until(lambda: process.returncode is not None or runtime.find(folder / "jetpost-data"))
    assert process.returncode is None, await process.communicate()
    return runtime.find(folder / "jetpost-data").web_url


@pytest.fixture
def jetpost(folder, web):
    """Runs a command beside the stack that must succeed; what it says on standard output."""

    async def jetpost(*arguments) -> str:
        ended = await jetpost_command.run(folder, *arguments)
        assert ended.code == 0, ended.output + ended.errors
        return ended.output

    assert web
    return jetpost


def people(count, domain, tag=""):
    return [f"{domain[0]}{number}{tag}@{domain},Ann,Lee,Oslo,May 2021" for number in range(count)]


def write_campaign(folder, name, rows, more="") -> str:
    copy = folder / "campaigns" / name
    shutil.copytree(EXAMPLE, copy)
    (copy / "audience.csv").write_text("\n".join(["email,first_name,last_name,city,joined", *rows]) + "\n", "utf-8")
    file = copy / "campaign.toml"
    example = file.read_text("utf-8")
    changed = re.sub(r"^# id = .*$", f'id = "{name}"\n{more}', example, flags=re.MULTILINE)
    assert changed != example
    file.write_text(changed, "utf-8")
    return str(file)


async def stopped(jetpost, campaign) -> list[dict]:
    return [
        json.loads(line) for line in (await jetpost("breaker", "list", "--campaign", campaign, "--json")).splitlines()
    ]


async def detail(web, campaign) -> dict:
    async with httpx.AsyncClient(base_url=web) as client:
        return (await client.get(f"/api/campaigns/{campaign}")).raise_for_status().json()


async def is_over(web, campaign) -> bool:
    document = await detail(web, campaign)
    figures = document["figures"]
    return document["campaign"]["status"] == "finished" and figures and figures["progress"]["balanced"]


async def accepted_for(web, campaign, provider) -> int:
    async with httpx.AsyncClient(base_url=web) as client:
        rows = (await client.get(f"/api/campaigns/{campaign}/providers")).raise_for_status().json()["providers"]
    return sum(row["accepted"] for row in rows if row["provider"] == provider)


async def go_on_until_over(jetpost, web, campaign) -> None:
    """As a person does who thinks that it is mended; it may be stopped again while it is not."""

    async def over():
        if await stopped(jetpost, campaign):
            await jetpost("breaker", "resume", campaign)
        return await is_over(web, campaign)

    await until(over)


async def ledger(jetpost, campaign) -> dict[str, int]:
    report = json.loads(await jetpost("report", campaign, "--json"))
    return {place: count for place, count in report["figures"]["progress"]["ledger"].items() if count}


async def test_a_lane_that_is_blocked_stops_and_the_others_finish(jetpost, web, folder):
    rows = [*people(80, "gmail.com", "+blocked"), *people(200, "yahoo.com"), *people(400, "gmail.com")]
    await jetpost("send", write_campaign(folder, "blocked", rows))
    await until(lambda: stopped(jetpost, "blocked"))
    await until(lambda: all_of_yahoo(web))
    [lane] = await stopped(jetpost, "blocked")
    assert (lane["pool"], lane["provider"], lane["cause"]) == ("default", "gmail", "blocks")
    assert lane["held"] > 300
    assert "default gmail" in await jetpost("breaker", "list")
    notice = (await detail(web, "blocked"))["health"]["message"]
    assert "The circuit breaker stops the lane default.gmail of blocked" in notice
    assert f"goes on, with {lane['held']} mails" in await jetpost("breaker", "resume", "blocked", "gmail")
    await go_on_until_over(jetpost, web, "blocked")
    assert await ledger(jetpost, "blocked") == {"planned": 680, "accepted": 600, "failed": 80}


async def all_of_yahoo(web):
    return await accepted_for(web, "blocked", "yahoo") == 200


async def test_a_canary_goes_first_and_the_rest_follows(jetpost, web, folder):
    rows = [*people(200, "gmail.com"), *people(200, "yahoo.com")]
    await jetpost("send", write_campaign(folder, "canary", rows, "canary = { share = 0.1, minimum = 20 }"))
    await until(lambda: is_over(web, "canary"))
    assert await ledger(jetpost, "canary") == {"planned": 400, "accepted": 400}


async def test_a_canary_that_bounces_stops_the_campaign(jetpost, web, folder):
    rows = [*people(40, "gmail.com", "+unknown"), *people(300, "gmail.com")]
    await jetpost("send", write_campaign(folder, "bounced", rows, "canary = { share = 0.1, minimum = 20 }"))
    await until(lambda: stopped(jetpost, "bounced"))
    [whole] = await stopped(jetpost, "bounced")
    assert (whole["pool"], whole["provider"], whole["cause"]) == ("", "", "canary")
    assert "bounced for good" in whole["reason"]
    assert whole["held"] >= 340 - 34
    await go_on_until_over(jetpost, web, "bounced")
    assert await ledger(jetpost, "bounced") == {"planned": 340, "accepted": 300, "bounced": 40}
