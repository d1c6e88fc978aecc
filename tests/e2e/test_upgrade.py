"""An upgrade while mails fly, and the way back: processes of the release before and of this one on the same streams and tables.

Every campaign must end with a ledger that balances, whoever planned, rendered, delivered and counted it.
"""

import asyncio
import contextlib
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest
import smtp_servers
import zstandard
from process_watching import until

from events import campaigns
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

EARLIER = Path(__file__).parents[1] / "data" / "releases" / "jetpost-0.1.0.tar.zst"
PEOPLE = 1_500
ENDS_WITHIN_SECONDS = 120
SETTINGS = """
data_dir = "data"
[nats]
url = "{nats}"
[producer]
batch_size = 250
link_secret = "{secret}"
[sender]
fetch_mails = 100
prefetch_mails = 200
[sender.adaptive]
enabled = false
[sender.retry]
transient_base_seconds = 0.5
soft_interval_seconds = 0.5
[sender.pools.main]
port = {relay}
max_connections = 4
relay_signs = true
[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
[web]
port = {web}
"""
CAMPAIGN = """
id = "{name}"
name = "{name}"
pool = "main"
from = "letter@longwayhome.example"
subject = "Hello {{{{ name }}}}"
html = "mail.html"
audience = "people.csv"
"""
TAGS = (*[""] * 30, "+blocked", "+unknown", "+greylist", "+full", "+slow", "+slow")


class World:
    """A folder with settings and campaigns, and the processes that work with them."""

    def __init__(self, folder, releases):
        self.folder = folder
        self._releases = releases
        self._running = {}

    def write(self, nats, relay, web):
        settings = SETTINGS.format(nats=nats, relay=relay, web=web, secret="s" * 32)
        (self.folder / "jetpost.toml").write_text(settings, "utf-8")
        (self.folder / "mail.html").write_text(
            '<p>Hello {{ name }}, <a href="https://example.com/">look</a></p>', "utf-8"
        )
        people = [f"reader{n}{TAGS[n % len(TAGS)]}@gmail.com,Reader {n}" for n in range(PEOPLE)]
        (self.folder / "people.csv").write_text("email,name\n" + "\n".join(people), "utf-8")

    async def start(self, release, *arguments):
        """A component of a release, which works when this returns; it takes the place of the one that runs."""
        before = self._running.pop(arguments[0], None)
        if before is not None and arguments[0] == "web":  # one process at a time owns an embedded ClickHouse
            await self._stop(before)
        read, write = os.pipe()
        process = await self._spawn(release, arguments, pass_fds=(write,), JETPOST_READY_FD=str(write))
        os.close(write)
        with os.fdopen(read) as pipe:
            ready = await asyncio.to_thread(pipe.read)
        assert ready, f"{release} {' '.join(arguments)} did not start: {(self.folder / f'{release}.log').read_text()}"
        self._running[arguments[0]] = process
        if before is not None and arguments[0] != "web":
            await self._stop(before)

    async def jetpost(self, release, *arguments):
        """A command of a release, to its end."""
        process = await self._spawn(release, arguments)
        assert await process.wait() == 0, (self.folder / f"{release}.log").read_text()

    async def _spawn(self, release, arguments, pass_fds=(), **variables):
        env = {name: value for name, value in os.environ.items() if not name.startswith("JETPOST_")}
        with (self.folder / f"{release}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "jetpost", *arguments,
                cwd=self.folder, env={**env, "PYTHONPATH": str(self._releases[release]), **variables},
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=pass_fds,
            )  # fmt: skip

    async def _stop(self, process):
        process.terminate()
        assert await process.wait() == 0

    async def stop(self):
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._running.values():
            await process.wait()


@pytest.fixture
def releases(tmp_path):
    """Where the packages of the release before are, and of this one."""
    unpacked = tmp_path / "earlier"
    with tarfile.open(
        fileobj=io.BytesIO(zstandard.ZstdDecompressor().stream_reader(EARLIER.read_bytes()).read())
    ) as files:
        files.extractall(unpacked, filter="data")
    return {"earlier": unpacked, "this": Path(__file__).parents[2]}


@pytest.fixture
async def world(tmp_path, releases, free_port):
    folder = tmp_path / "world"
    folder.mkdir()
    made = World(folder, releases)
    async with (
        NatsServer(tmp_path / "nats") as server,
        smtp_servers.simulator(tmp_path / "simulator", slow_seconds=0.05, greylist_seconds=0.3) as relay,
    ):
        made.write(server.url, relay.port, free_port())
        made.relay = relay
        made.nats = server.url
        try:
            yield made
        finally:
            await made.stop()


async def test_an_upgrade_while_mails_fly_and_the_way_back_keep_every_ledger_balanced(world):
    await world.jetpost("earlier", "setup")
    for arguments in (("web", "run", "--with-ingester"), ("producer", "run"), ("sender", "run")):
        await world.start("earlier", *arguments)
    bus = await NatsBus.connect(BusSettings(url=world.nats), name="test")
    try:
        await send(world, bus, "earlier", "first")
        await world.jetpost("this", "setup")
        await world.start("this", "sender", "run")  # delivers what the release before has rendered

        await send(world, bus, "earlier", "second")
        await world.start("this", "producer", "run")
        await world.start("this", "web", "run", "--with-ingester")

        await send(world, bus, "this", "third")
        await world.start("earlier", "sender", "run")  # the way back: delivers what this release has rendered

        for name in ("first", "second", "third"):
            await until(lambda name=name: finished(bus, name), ENDS_WITHIN_SECONDS)
            await world.jetpost("this", "reconcile", name)
        accepted = await world.relay.accepted()
        assert len(accepted) == len(set(accepted)), "a mail was sent twice"
    finally:
        await bus.close()


async def send(world, bus, release, name):
    """Launch a campaign; returns while its mails are under way."""
    (world.folder / f"{name}.toml").write_text(CAMPAIGN.format(name=name), "utf-8")
    before = len(await world.relay.accepted())
    await world.jetpost(release, "send", f"{name}.toml")

    async def flying():
        return len(await world.relay.accepted()) > before or await finished(bus, name)

    await until(flying, ENDS_WITHIN_SECONDS)


async def finished(bus, name):
    found = await campaigns.get(bus, name)
    return found is not None and found.finished_at is not None
