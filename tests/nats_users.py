"""A nats-server with a user for each component, as `jetpost permissions` prints them, and components that are these users.

All components run in this process, each with a connection of its own: to NATS they are strangers to each other, and ClickHouse
can be embedded.
"""

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.chaos.cluster import Cluster
from events.nats_bus import NatsBus
from events.nats_server import NatsServer
from events.permissions import COMPONENTS
from jetpost import cli, nats_accounts, probes
from jetpost import process as processes
from jetpost import settings as all_settings
from jetpost.process import Process

ADMIN = "test"
"""A user beside them that may do everything: the test itself."""


def password_of(user: str) -> str:
    return f"of-{user}"


def with_users(plain: dict) -> str:
    """A server's configuration, with accounts and users in the place of those that it may have."""
    others = {key: value for key, value in plain.items() if key not in {"accounts", "no_auth_user"}}
    accounts = nats_accounts.configuration()
    admin = f"{{ user: {ADMIN}, password: {password_of(ADMIN)} }}\n"
    mine = accounts.replace("    users: [\n", f"    users: [\n      {admin}", 1)
    assert mine != accounts
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in others.items()) + mine


@contextlib.contextmanager
def passwords_in_the_environment():
    """From where servers take them that start within."""
    names = [*(one.name for one in COMPONENTS), nats_accounts.SYSTEM.lower()]
    variables = {nats_accounts.variable_of(name): password_of(name) for name in names}
    variables[nats_accounts.ROOM_VARIABLE] = "2G"
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


class ServerWithUsers(NatsServer):
    def _config(self):
        return with_users(json.loads(super()._config()))

    async def start(self):
        with passwords_in_the_environment():
            await super().start()

    @property
    def violations(self) -> list[str]:
        return [line for line in self.log_path.read_text().splitlines() if "Violation" in line]


class ClusterWithUsers(Cluster):
    """Use it with the passwords in the environment."""

    def _text(self, config):
        return with_users(config)


@dataclass
class Installation:
    """Components that run, by name, and a person's commands."""

    server: ServerWithUsers
    folder: Path
    addresses: dict[str, str] = field(default_factory=dict)
    buses: dict[str, NatsBus] = field(default_factory=dict)
    _stops: list[asyncio.Event] = field(default_factory=list)
    _running: list[asyncio.Task] = field(default_factory=list)

    def settings_of(self, user, **variables):
        who = {"JETPOST_NATS_USER": user, "JETPOST_NATS_PASSWORD": password_of(user)}
        return all_settings.load(self.folder / "jetpost.toml", who | variables)

    async def run(self, component, main, user=None, **variables):
        """Start a component as its user; it works when this returns."""
        user = user or component
        stop, ready = asyncio.Event(), asyncio.Event()
        settings, bus = await processes.connect(self.settings_of(user, **variables), component, stop)

        def announce(**addresses):
            self.addresses |= {f"{user} {name}": address for name, address in addresses.items()}
            ready.set()

        process = Process(settings, bus, stop, announce, probes.Health())
        running = asyncio.create_task(main(process), name=user)
        self._stops.append(stop)
        self._running.append(running)
        self.buses[user] = bus
        begun = asyncio.create_task(ready.wait())
        await asyncio.wait({running, begun}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running

    async def jetpost(self, *arguments, code=0, user="operator", **variables):
        """A command of a person, to its end; what it said."""
        who = {"JETPOST_NATS_USER": user, "JETPOST_NATS_PASSWORD": password_of(user), "COLUMNS": "200"}
        who["JETPOST_WEB_PUBLIC_URL"] = self.addresses.get("web web", "")
        arguments = ["--config", str(self.folder / "jetpost.toml"), *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, arguments, env=who | variables)
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result.output

    async def stop(self):
        for stop in self._stops:
            stop.set()
        try:
            async with asyncio.timeout(30):
                await asyncio.gather(*self._running)
        finally:
            for running in self._running:
                running.cancel()
            for bus in self.buses.values():
                await bus.close()


@contextlib.asynccontextmanager
async def installation(folder):
    """Streams and tables are not there yet. At its end everything is stopped."""
    async with ServerWithUsers(folder / "nats") as server:
        made = Installation(server, folder)
        try:
            yield made
        finally:
            await made.stop()


async def connect_as(made, user):
    """A connection of a user's, for a test that asks for what that may not do."""
    return await NatsBus.connect(made.settings_of(user).settings.nats, name=f"test as {user}")
