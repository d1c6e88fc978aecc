"""Everything on one machine: an embedded nats-server and Jetpost's components as supervised processes.

ClickHouse runs inside the web process, because chdb lets one process own a data folder; so the ingester runs there, too.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from events.nats_bus import NatsBus
from events.nats_server import NatsServer
from jetpost import runtime, secret, version
from jetpost.settings import Settings, to_environment
from jetpost.supervisor import Child, Component


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. Embedded servers run where the settings name no external ones."""

    producers: int = 1
    senders: int = 1
    embedded_nats: bool = True
    sync_interval: str = "2m"
    """How often the embedded nats-server syncs to disk (docs/durability.md)."""


class Stack:
    """Use it as an asynchronous context manager: inside, everything is up; at its end, everything is down, in order."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings
        self.children: dict[str, Child] = {}
        self._exit = contextlib.AsyncExitStack()
        self._started_at = time.time()

    async def __aenter__(self) -> Self:
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            if self.plan.embedded_nats:
                await self._start_nats()
            await self._set_up()
            environment = to_environment(self.settings)
            for component in _components(self.plan):
                await self._start(component, environment)
            self._exit.callback(runtime.remove, self.settings.data_dir)
            self._note()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    @property
    def nats_url(self) -> str:
        return self.settings.nats.url

    @property
    def web_url(self) -> str:
        return self.children["web"].addresses["web"]

    async def _start_nats(self) -> None:
        server = NatsServer(self.settings.data_dir / "nats", sync_interval=self.plan.sync_interval)
        await self._exit.enter_async_context(server)
        nats = replace(self.settings.nats, url=server.url)
        self.settings = replace(self.settings, nats=nats)

    async def _set_up(self) -> None:
        bus = await NatsBus.connect(self.settings.nats, name="jetpost setup")
        try:
            await bus.setup()
        finally:
            await bus.close()

    async def _start(self, component: Component, environment: Mapping[str, str]) -> None:
        child = Child(component, environment, self.settings.data_dir / "logs")
        self._exit.push_async_callback(child.stop)
        await child.start(self._note)
        self.children[component.name] = child

    def _note(self) -> None:
        """Write down where everything is, for other commands."""
        running = runtime.Running(
            pid=os.getpid(),
            version=version.VERSION,
            started_at=self._started_at,
            nats_url=self.settings.nats.url,
            web_url=self.children["web"].addresses["web"] if "web" in self.children else "",
            metrics={name: child.addresses.get("metrics", "") for name, child in self.children.items()},
        )
        runtime.write(self.settings.data_dir, running)


def _components(plan: Plan) -> list[Component]:
    """In the order of starting; stopped in the reverse, so that what is still sent is still counted."""
    return [
        Component("web", ("web", "run", "--with-ingester")),
        *(Component(f"sender-{number}", ("sender", "run")) for number in range(1, plan.senders + 1)),
        *(Component(f"producer-{number}", ("producer", "run")) for number in range(1, plan.producers + 1)),
    ]


def embedded(settings: Settings, *, clickhouse_is_set: bool) -> Settings:
    """Settings for a stack on this machine: a link secret of its own, and ClickHouse in the data directory unless a server
    is named."""
    known_secret = settings.producer.link_secret or secret.ensure(settings.data_dir)
    settings = replace(settings, producer=replace(settings.producer, link_secret=known_secret))
    if clickhouse_is_set:
        return settings
    folder = (settings.data_dir / "clickhouse").absolute()
    clickhouse = replace(settings.analytics.clickhouse, url=f"chdb://{folder}")
    return replace(settings, analytics=replace(settings.analytics, clickhouse=clickhouse))
