"""`jetpost up`: an urgent campaign overtakes one that runs, and scheduled ones are held over restarts (docs/scheduling.md).

The running campaigns go to mailboxes that take a while for each mail, so that overtaking is a matter of order, not of luck.
"""

import time
from contextlib import AsyncExitStack
from types import SimpleNamespace

import httpx
import jetpost_command
import pytest
import pytest_asyncio
import smtp_servers
from process_watching import until

from events import campaigns, schedule, subjects
from events.nats_bus import BusSettings, NatsBus
from jetpost import runtime
from jetpost.simulator import client

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = """
[web]
port = 0
[producer]
batch_size = 100
[sender]
fetch_wait_seconds = 0.5
fetch_mails = 20
prefetch_mails = 40
[sender.adaptive]
enabled = false
[sender.retry]
transient_base_seconds = 0.2
throttled_base_seconds = 0.2
hint_max_seconds = 0.3
[sender.pools.main]
port = {port}
max_connections = 4
pipeline_depth = 2
[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
cancel_quiet_seconds = 1.5
"""
RUNNING, URGENT = 6_000, 40
LONG = 120.0
"""Seconds, for machines that have other things to do."""
LONG_ENOUGH_TO_STOP = 15.0
DOMAINS = ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "example.net")
CAMPAIGN = """
id = "{name}"
name = "{name}"
from = "letter@longwayhome.example"
subject = "Hello"
html = "mail.html"
audience = "{name}.csv"
{more}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exits():
    async with AsyncExitStack() as exits:
        yield exits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(exits, tmp_path_factory):
    """A folder with settings, and a simulator whose `+slow` mailboxes take a fifth of a second for every mail."""
    folder = tmp_path_factory.mktemp("scheduling")
    relay = await exits.enter_async_context(
        smtp_servers.simulator(folder / "simulator", slow_seconds=0.2, greylist_seconds=0.1)
    )
    (folder / "jetpost.toml").write_text(SETTINGS.format(port=relay.port), "utf-8")
    (folder / "mail.html").write_text("<p>Hello {{ email }}</p>", "utf-8")
    made = World(folder, relay)
    await made.up()
    exits.push_async_callback(made.down)
    return made


class World:
    def __init__(self, folder, relay):
        self.folder = folder
        self.relay = relay
        self.process = None
        self.bus = None
        self.web = ""

    async def up(self):
        self.process = await jetpost_command.start(self.folder, "up")
        await until(lambda: self.process.returncode is not None or runtime.find(self.folder / "jetpost-data"), LONG)
        assert self.process.returncode is None, await self.process.communicate()
        running = runtime.find(self.folder / "jetpost-data")
        self.web = running.web_url
        self.bus = await NatsBus.connect(BusSettings(url=running.nats_url), name="test")

    async def move(self, name, start):
        """What `jetpost reschedule` does, in no time."""
        await campaigns.change(self.bus, name, lambda one: schedule.reschedule(one, start, time.time()))

    async def down(self):
        await self.bus.close()
        self.process.terminate()
        await self.process.communicate()

    async def jetpost(self, *arguments, code=0):
        ended = await jetpost_command.run(self.folder, *arguments)
        assert ended.code == code, ended.output + ended.errors
        return ended.output + ended.errors

    def write(self, name, count, tag="", more=""):
        """A campaign to so many people; the path of its file."""
        people = "\n".join(f"{name}{number}{tag}@{DOMAINS[number % len(DOMAINS)]}" for number in range(count))
        (self.folder / f"{name}.csv").write_text(f"email\n{people}\n", "utf-8")
        file = self.folder / f"{name}.toml"
        file.write_text(CAMPAIGN.format(name=name, more=more), "utf-8")
        return str(file)

    async def told(self, name):
        """The campaign, as the API tells it."""
        async with httpx.AsyncClient(base_url=self.web, timeout=60) as web:
            document = (await web.get(f"/api/campaigns/{name}")).raise_for_status().json()
        return SimpleNamespace(**document["campaign"])

    async def accepted(self, name):
        counts = await self.bus.count_by_subject("EVENTS", subjects.event("accepted", name))
        return sum(counts.values())

    async def status(self, name):
        return (await campaigns.get(self.bus, name)).status

    async def finished(self, name):
        return await self.status(name) == "finished"

    async def metrics(self):
        address = runtime.find(self.folder / "jetpost-data").metrics["web"]
        async with httpx.AsyncClient(timeout=60) as web:
            return (await web.get(address)).text


async def test_an_urgent_campaign_overtakes_one_that_runs(world):
    """With its retries: its mailboxes want every mail to come a second time."""
    await world.jetpost("send", world.write("running", RUNNING, "+slow"))
    await until(lambda: world.accepted("running"), LONG)
    said = await world.jetpost("send", world.write("urgent", URGENT, "+greylist", more='priority = "urgent"'))
    assert "Its priority is urgent" in said

    async def all_of_it():
        return await world.accepted("urgent") == URGENT

    await until(all_of_it, LONG)
    assert await world.accepted("running") < RUNNING / 2

    assert "running is low now, with weight 3" in await world.jetpost("priority", "running", "low", "--weight", "3")
    lowered = await world.told("running")
    assert (lowered.priority, lowered.weight) == ("low", 3)
    assert "Its priority is low, with weight 3" in await world.jetpost("status", "running")
    assert "urgent, normal, low" in await world.jetpost("priority", "running", "high", code=2)
    await world.jetpost("cancel", "running", "--yes")


async def test_scheduled_campaigns_are_held_over_restarts_and_sent_on_time_or_not_without_being_asked(world):
    taken = (await client.counters(world.relay.control)).messages
    said = await world.jetpost("send", world.write("ontime", 20), "--at", "1h")
    assert "It starts at" in said
    await world.jetpost("send", world.write("missed", 20, more='past_due_after = "1s"'), "--at", "1h")
    assert "scheduled" in await world.jetpost("status", "ontime")
    start = time.time() + LONG_ENOUGH_TO_STOP
    for name in ("ontime", "missed"):
        await world.move(name, start)
    await world.down()
    assert time.time() < start, "this machine is too slow for this test"
    assert (await client.counters(world.relay.control)).messages == taken
    await until(lambda: time.time() > start + 1.5)
    await world.up()

    await until(lambda: world.finished("ontime"), LONG)
    ontime = await world.told("ontime")
    assert ontime.started_at >= ontime.starts_at

    missed = await world.told("missed")
    assert (missed.status, missed.pause_reason, await world.accepted("missed")) == ("paused", "past_due", 0)
    assert "It missed its start" in await world.jetpost("status", "missed")

    async def alerted():
        return 'campaigns_paused{reason="past_due"} 1.0' in await world.metrics()

    await until(alerted, LONG)
    await world.jetpost("resume", "missed")
    await until(lambda: world.finished("missed"), LONG)


async def test_a_start_may_be_moved_and_is_checked(world):
    said = await world.jetpost("send", world.write("moved", 10), "--at", "2100-01-01T09:00", code=2)
    assert "does not say in which zone" in said
    said = await world.jetpost("check", world.write("moved", 10, more='start = "2d"\ndeadline = "1d"'), code=1)
    assert "every mail would expire unsent" in said
    await world.jetpost("send", world.write("moved", 10, more='start = "1d"'))
    assert "in 1 d 23 h" in await world.jetpost("reschedule", "moved", "--at", "2d")
    assert "it starts now" in await world.jetpost("reschedule", "moved", "--now")
    await until(lambda: world.finished("moved"), LONG)
    assert "is finished" in await world.jetpost("reschedule", "moved", "--now", code=2)
