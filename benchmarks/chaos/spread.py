"""Jetpost on three hosts: on each a nats-server, a sender and a producer that prefers it; web app and ingester beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from msgspec.structs import replace

from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.hosts import HERE, Place
from jetpost import provision
from jetpost.settings import Settings, to_environment
from jetpost.stack import embedded
from jetpost.supervisor import Child, Component

HOSTS: Final = ("host-1", "host-2", "host-3")
_KINDS: Final = ("sender", "producer")
"""What runs on every host."""


class Spread:
    """What runs, and where: as much of a `jetpost.stack.Stack` as an experiment asks for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.children: dict[str, Child] = {}

    @property
    def web_url(self) -> str:
        return self.children["web"].addresses["web"]


@contextlib.asynccontextmanager
async def spread(cluster: Cluster, settings: Settings) -> AsyncIterator[Spread]:
    """Everything is up inside; `sender-2` is the sender on the cluster's second host."""
    settings = embedded(_seen_from(HERE, cluster, settings), clickhouse_is_set=False)
    await provision.streams(settings.nats)
    running = Spread(settings)
    running.children["web"] = _child("web", ("web", "run", "--with-ingester"), HERE, settings)
    for number, place in enumerate(cluster.places, start=1):
        there = _seen_from(place, cluster, settings)
        for kind in _KINDS:
            running.children[f"{kind}-{number}"] = _child(f"{kind}-{number}", (kind, "run"), place, there)
    try:
        async with asyncio.TaskGroup() as starting:
            for child in running.children.values():
                starting.create_task(child.start(lambda: None))
        yield running
    finally:
        await asyncio.gather(*(child.stop() for child in running.children.values()))


def _seen_from(place: Place, cluster: Cluster, settings: Settings) -> Settings:
    nats = replace(settings.nats, url=cluster.url_from(place), randomize=place == HERE, replicas=len(cluster.places))
    return replace(settings, nats=nats, metrics=replace(settings.metrics, host=place.address))


def _child(name: str, arguments: tuple[str, ...], place: Place, settings: Settings) -> Child:
    return Child(Component(name, arguments, place.program), to_environment(settings), settings.data_dir / "logs")
