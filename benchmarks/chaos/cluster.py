"""Three nats-servers that form a cluster, each with its own disk: on loopback, or each on a host of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import urllib.request
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from nats.aio.client import Client

from benchmarks.chaos.hosts import HERE, Place
from events import nats_server

READY_SECONDS: Final = 90.0
LOOK_AGAIN_SECONDS: Final = 0.1
NOTICED_SOON: Final = {"ping_interval": "2s", "ping_max": 2}
"""That a server is cut off; without it the others keep their connections to it for a minute and a half (docs/reliability.md)."""


class Node(NamedTuple):
    name: str
    folder: Path
    client: int
    route: int
    monitor: int
    place: Place

    @property
    def url(self) -> str:
        return f"nats://{self.place.address}:{self.client}"


class Cluster:
    """Use it as an asynchronous context manager; inside, all three are up, though they may not have found each other yet.

    Ports stay the same over restarts.
    """

    def __init__(self, folder: Path, places: Sequence[Place] = (HERE,) * 3) -> None:
        ports = _free_ports(9)
        self._nodes = {
            name: Node(name, folder / name, *ports[3 * index : 3 * index + 3], place)
            for index, (name, place) in enumerate(zip(("nats-1", "nats-2", "nats-3"), places, strict=True))
        }
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def names(self) -> list[str]:
        return list(self._nodes)

    @property
    def places(self) -> list[Place]:
        return [node.place for node in self._nodes.values()]

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self._nodes.values())

    def url_of(self, name: str) -> str:
        return self._nodes[name].url

    def url_from(self, place: Place) -> str:
        """The same with the server at that place first."""
        return ",".join(node.url for node in sorted(self._nodes.values(), key=lambda node: node.place != place))

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self._spawn(node) for node in self._nodes.values()))
            await asyncio.gather(*(self._until_healthy(node) for node in self._nodes.values()))
        except BaseException:
            await self._stop_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop_all()

    async def start(self, name: str) -> None:
        """Start a server that ended; returns when it has caught up with the others. Raises `TimeoutError`."""
        await self._processes[name].wait()
        await self._spawn(self._nodes[name])
        await self._until_healthy(self._nodes[name])

    async def stop(self, name: str) -> None:
        self._processes[name].terminate()
        await self._processes[name].wait()

    def kill(self, name: str) -> None:
        self._processes[name].kill()

    def freeze(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    async def wipe(self, name: str) -> None:
        """Delete everything that a killed server had stored."""
        await self._processes[name].wait()
        await asyncio.to_thread(shutil.rmtree, self._nodes[name].folder / "jetstream")

    async def leader(self, stream: str, *, apart_from: str = "") -> str:
        """The server that leads a stream now, as the others see it that can be asked. Raises `TimeoutError` where there is none
        for long."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                for node in self._nodes.values():
                    if node.name != apart_from:
                        found = (await asyncio.to_thread(_leaders_by, node)).get(stream, "")
                        if found in self._nodes and found != apart_from:
                            return found
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def meta_leader(self) -> str:
        """The server that places streams and consumers. Raises `TimeoutError` where there is none for long."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                for node in self._nodes.values():
                    document = await asyncio.to_thread(_get, node, "/jsz")
                    if (found := document.get("meta_cluster", {}).get("leader")) in self._nodes:
                        return str(found)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def lead(self, name: str, *streams: str) -> None:
        """Have a server lead these streams, or all that there are; returns when it does. Raises `TimeoutError`."""
        client = Client()
        await client.connect(self._nodes[name].url)
        wanted = json.dumps({"placement": {"preferred": name}}).encode()
        try:
            async with asyncio.timeout(READY_SECONDS):
                while others := await self._led_by_others(name, streams):
                    for stream in others:
                        await client.publish(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", wanted)
                    await client.flush()
                    await asyncio.sleep(LOOK_AGAIN_SECONDS * 5)
        finally:
            await client.close()

    async def _led_by_others(self, name: str, streams: Collection[str]) -> list[str]:
        """Of these streams, or of all."""
        leaders = await asyncio.to_thread(_leaders_by, self._nodes[name])
        return [one for one, leader in leaders.items() if leader != name and (not streams or one in streams)]

    async def _spawn(self, node: Node) -> None:
        node.folder.mkdir(parents=True, exist_ok=True)
        config = node.folder / "nats-server.conf"
        config.write_text(self._text(self._config(node)), encoding="utf-8")
        with (node.folder / "nats-server.log").open("ab") as log:
            self._processes[node.name] = await asyncio.create_subprocess_exec(
                *(*node.place.inside, nats_server.find_binary(), "--config", config),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _text(self, config: dict[str, Any]) -> str:
        """JSON is valid in nats-server's configuration language."""
        return json.dumps(config, indent=2)

    def _config(self, node: Node) -> dict[str, Any]:
        address = node.place.address
        others = [
            f"nats-route://{other.place.address}:{other.route}" for other in self._nodes.values() if other is not node
        ]
        return {
            "server_name": node.name,
            "listen": f"{address}:{node.client}",
            "http": f"{address}:{node.monitor}",
            "jetstream": {"store_dir": str(node.folder)},
            "cluster": {"name": "chaos", **NOTICED_SOON, "listen": f"{address}:{node.route}", "routes": others},
        }

    async def _until_healthy(self, node: Node) -> None:
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(_get, node, "/healthz"):  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _stop_all(self) -> None:
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in running))


def _leaders_by(node: Node) -> dict[str, str]:
    """The leaders of all streams as a server sees them; empty for those of which it does not know."""
    return {
        detail["name"]: str(detail.get("cluster", {}).get("leader", ""))
        for account in _get(node, "/jsz?streams=true").get("account_details", [])
        for detail in account.get("stream_detail", [])
    }


def _get(node: Node, path: str) -> dict[str, Any]:
    """A document of a server's monitor; empty where it does not answer, or is not well."""
    url = f"http://{node.place.address}:{node.monitor}{path}"
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as answer:
        document: dict[str, Any] = json.load(answer)
        return document
    return {}


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
