"""Three nats-servers on loopback that form a cluster, each with its own disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from events import nats_server

READY_SECONDS: Final = 90.0
LOOK_AGAIN_SECONDS: Final = 0.1


class Node(NamedTuple):
    name: str
    folder: Path
    client: int
    route: int
    monitor: int


class Cluster:
    """Use it as an asynchronous context manager; inside, all three are up, though they may not have found each other yet.

    Ports stay the same over restarts.
    """

    def __init__(self, folder: Path) -> None:
        ports = _free_ports(9)
        self._nodes = {
            name: Node(name, folder / name, *ports[3 * index : 3 * index + 3])
            for index, name in enumerate(("nats-1", "nats-2", "nats-3"))
        }
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def names(self) -> list[str]:
        return list(self._nodes)

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{node.client}" for node in self._nodes.values())

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

    async def wipe(self, name: str) -> None:
        """Delete everything that a killed server had stored."""
        await self._processes[name].wait()
        await asyncio.to_thread(shutil.rmtree, self._nodes[name].folder / "jetstream")

    async def leader(self, stream: str) -> str:
        """The server that leads a stream now. Raises `TimeoutError` where there is none for long."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                for node in self._nodes.values():
                    found = await asyncio.to_thread(_leader_by, node, stream)
                    if found in self._nodes:
                        return found
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _spawn(self, node: Node) -> None:
        node.folder.mkdir(parents=True, exist_ok=True)
        config = node.folder / "nats-server.conf"
        config.write_text(self._text(self._config(node)), encoding="utf-8")
        with (node.folder / "nats-server.log").open("ab") as log:
            self._processes[node.name] = await asyncio.create_subprocess_exec(
                nats_server.find_binary(), "--config", config, stdout=log, stderr=log, start_new_session=True
            )

    def _text(self, config: dict[str, Any]) -> str:
        """JSON is valid in nats-server's configuration language."""
        return json.dumps(config, indent=2)

    def _config(self, node: Node) -> dict[str, Any]:
        others = [f"nats-route://127.0.0.1:{other.route}" for other in self._nodes.values() if other is not node]
        return {
            "server_name": node.name,
            "listen": f"127.0.0.1:{node.client}",
            "http": f"127.0.0.1:{node.monitor}",
            "jetstream": {"store_dir": str(node.folder)},
            "cluster": {"name": "chaos", "listen": f"127.0.0.1:{node.route}", "routes": others},
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


def _leader_by(node: Node, stream: str) -> str:
    """The leader of a stream as a server sees it; empty where it does not know."""
    for account in _get(node, "/jsz?streams=true").get("account_details", []):
        for detail in account.get("stream_detail", []):
            if detail["name"] == stream:
                return str(detail.get("cluster", {}).get("leader", ""))
    return ""


def _get(node: Node, path: str) -> dict[str, Any]:
    """A document of a server's monitor; empty where it does not answer, or is not well."""
    url = f"http://127.0.0.1:{node.monitor}{path}"
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
