"""A disaster rehearsed: NATS and ClickHouse are gone in the middle of a campaign, and come back from a backup."""

import shutil

import jetpost_command
import pytest
import smtp_servers
from process_watching import until

from events import campaigns
from events.nats_bus import BusSettings, NatsBus
from jetpost import runtime

PEOPLE = 1_200
SOON = 60
SETTINGS = """
data_dir = "data"
[nats]
ack_wait_seconds = 8.0
[producer]
batch_size = 200
[sender]
fetch_mails = 20
prefetch_mails = 40
[sender.adaptive]
enabled = false
[sender.pools.main]
port = {relay}
max_connections = 2
pipeline_depth = 2
command_timeout_seconds = 2.0
data_timeout_seconds = 3.0
relay_signs = true
[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
[web]
port = 0
"""
CAMPAIGN = """
id = "spring"
name = "spring"
pool = "main"
from = "letter@longwayhome.example"
subject = "Hello"
html = "mail.html"
audience = "people.csv"
"""


@pytest.fixture
async def world(tmp_path):
    """A folder, and a simulator whose mailboxes take a while for each mail."""
    async with smtp_servers.simulator(tmp_path / "simulator", slow_seconds=0.01) as relay:
        (tmp_path / "jetpost.toml").write_text(SETTINGS.format(relay=relay.port), "utf-8")
        (tmp_path / "spring.toml").write_text(CAMPAIGN, "utf-8")
        (tmp_path / "mail.html").write_text("<p>Hello</p>", "utf-8")
        people = "\n".join(f"reader{n}+slow@gmail.com" for n in range(PEOPLE))
        (tmp_path / "people.csv").write_text(f"email\n{people}\n", "utf-8")
        made = World(tmp_path, relay)
        yield made
        await made.down()


class World:
    def __init__(self, folder, relay):
        self.folder = folder
        self.relay = relay
        self.stack = None

    async def up(self):
        self.stack = await jetpost_command.start(self.folder, "up")
        await until(lambda: self.stack.returncode is not None or runtime.find(self.folder / "data"), SOON)
        assert self.stack.returncode is None, await self.stack.communicate()

    async def down(self):
        if self.stack is not None and self.stack.returncode is None:
            self.stack.terminate()
            await self.stack.communicate()

    async def jetpost(self, *arguments, code=0):
        ended = await jetpost_command.run(self.folder, *arguments)
        assert ended.code == code, ended.output + ended.errors
        return ended.output + ended.errors

    async def sent(self):
        return len(await self.relay.accepted())

    async def finished(self):
        bus = await NatsBus.connect(BusSettings(url=runtime.find(self.folder / "data").nats_url), name="test")
        try:
            return (await campaigns.get(bus, "spring")).finished_at is not None
        finally:
            await bus.close()


async def test_what_was_paused_and_backed_up_goes_on_from_the_backup_and_nobody_gets_two(world):
    await world.up()
    await world.jetpost("send", "spring.toml")
    await until(lambda: some_are_sent(world), SOON)
    assert "Pause them first, or give --pause" in await world.jetpost("backup", "early", code=2)
    await world.jetpost("pause", "spring")
    assert "MAIL" in await world.jetpost("backup", "backup")
    assert "give each backup a folder of its own" in await world.jetpost("backup", "backup", code=2)
    sent = await world.sent()
    assert 0 < sent < PEOPLE
    await world.down()

    shutil.rmtree(world.folder / "data" / "nats")
    shutil.rmtree(world.folder / "data" / "clickhouse")
    told = await world.jetpost("restore", "backup")
    assert "NATS has again what it had" in told
    await world.up()
    assert "empty NATS only" in await world.jetpost("restore", "backup", code=2)
    await world.jetpost("resume", "spring")
    await until(world.finished, SOON)
    await world.jetpost("reconcile", "spring")
    accepted = await world.relay.accepted()
    assert (len(accepted), len(set(accepted))) == (PEOPLE, PEOPLE)


async def some_are_sent(world):
    return await world.sent() > 20
