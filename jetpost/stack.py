"""Everything on one machine: an embedded nats-server and Jetpost's components as supervised processes.

ClickHouse runs inside the web process, because chdb lets one process own a data folder; so the ingester runs there, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from jetpost import embedded_nats, provision, runtime, secret, version
from jetpost.errors import ChildFailed
from jetpost.settings import Settings, to_environment
from jetpost.supervisor import Child, Component

_log = logging.getLogger(__name__)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. Embedded servers run where the settings name no external ones."""

    producers: int = 1
    senders: int = 1
    embedded_nats: bool = True
    sync_interval: str = "2m"
    """How often the embedded nats-server syncs to disk (docs/durability.md)."""


class Stack:
    """Use it as an asynchronous context manager: inside, everything is up; at its end, everything is down, in order.

    Raises `AlreadyUp`, `ChildFailed` or `EmbeddedServerFailed` where it does not come up; then nothing is left running.
    """

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings
        self.children: dict[str, Child] = {}
        self._exit = contextlib.AsyncExitStack()
        self._started_at = time.time()
        self._inherited: tuple[int, ...] = ()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as unless_up:
            unless_up.enter_context(runtime.owned(self.settings.data_dir))
            if self.plan.embedded_nats:
                await self._start_nats(unless_up)
            await provision.streams(self.settings.nats)
            for same in _components(self.plan):
                await self._start(same, unless_up)
            self._note()
            self._exit = unless_up.pop_all()
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

    async def _start_nats(self, exits: contextlib.AsyncExitStack) -> None:
        folder = self.settings.data_dir / "nats"
        server = await exits.enter_async_context(embedded_nats.kept_up(folder, self.plan.sync_interval))
        nats = replace(self.settings.nats, url=server.url, sync_always=self.plan.sync_interval == "always")
        self.settings = replace(self.settings, nats=nats)
        self._inherited = (server.lifeline,)

    async def _start(self, same: Sequence[Component], exits: contextlib.AsyncExitStack) -> None:
        """Components of one kind start, and later stop, together."""
        children = [self._child(component) for component in same]
        exits.push_async_callback(_stop, children)
        try:
            async with asyncio.TaskGroup() as starting:
                for child in children:
                    starting.create_task(child.start(self._note))
        except* ChildFailed as failed:
            raise failed.exceptions[0] from None
        self.children |= {child.component.name: child for child in children}

    def _child(self, component: Component) -> Child:
        metrics = self.settings.metrics
        port = metrics.port + _number(self.plan, component) if metrics.port else 0
        settings = replace(self.settings, metrics=replace(metrics, port=port))
        return Child(component, to_environment(settings), settings.data_dir / "logs", self._inherited)

    def _note(self) -> None:
        """Write down where everything is, for other commands."""
        running = runtime.Running(
            pid=os.getpid(),
            version=version.VERSION,
            started_at=self._started_at,
            nats_url=self.settings.nats.url,
            web_url=self.web_url if "web" in self.children else "",
            metrics={name: child.addresses.get("metrics", "") for name, child in self.children.items()},
        )
        try:
            runtime.write(self.settings.data_dir, running)
        except OSError:
            _log.exception("cannot write down what runs; other commands may not find it")


async def _stop(children: Sequence[Child]) -> None:
    await asyncio.gather(*(child.stop() for child in children))


def _number(plan: Plan, component: Component) -> int:
    names = [other.name for same in _components(plan) for other in same]
    return names.index(component.name)


def _components(plan: Plan) -> list[list[Component]]:
    """By kind, in the order of starting; stopped in the reverse, so that what is still sent is still counted."""
    return [
        [Component("web", ("web", "run", "--with-ingester"))],
        [Component(f"sender-{number}", ("sender", "run")) for number in range(1, plan.senders + 1)],
        [Component(f"producer-{number}", ("producer", "run")) for number in range(1, plan.producers + 1)],
    ]


def embedded(settings: Settings, *, clickhouse_is_set: bool) -> Settings:
    """Settings for a stack on this machine: a link secret of its own, and ClickHouse in the data directory unless a server
    is named."""
    known_secret = settings.producer.link_secret or secret.ensure(settings.data_dir)
    settings = replace(settings, producer=replace(settings.producer, link_secret=known_secret))
    return settings if clickhouse_is_set else clickhouse_inside(settings)


def clickhouse_inside(settings: Settings) -> Settings:
    """Settings with ClickHouse inside the process, its data in the data directory."""
    folder = (settings.data_dir / "clickhouse").absolute()
    clickhouse = replace(settings.analytics.clickhouse, url=f"chdb://{folder}")
    return replace(settings, analytics=replace(settings.analytics, clickhouse=clickhouse))
