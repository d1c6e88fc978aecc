"""Runs what manifests say, as processes: every container with exactly its command, environment and files.

Each pod has a loopback address of its own, so that ports stay as rendered. Only two things are put in the place of others, as a
cluster would: names of services by addresses, and paths of mounts by folders of the test.
"""

import asyncio
import itertools
import json
import os
import socket
from pathlib import Path

import pytest
from container import Container, Surroundings
from manifests import Manifest, Pod, data_of, named, of_kind, pods, selects

READY_SECONDS = 90
RESTARTS = 8
"""Of a Job's container that fails: what it needs may not be there yet."""
_NUMBERS = itertools.count(1)


class Release:
    """The pods of a rendering, by component; of those of a StatefulSet beyond the first, by component and number (`nats-1`)."""

    def __init__(self, documents: list[Manifest], folder: Path) -> None:
        self.documents = documents
        self.secrets: dict[str, dict[str, str]] = {}
        """Those that the chart is only told of, with their keys."""
        self._folder = folder
        network = f"127.{os.getpid() % 250 + 1}.{next(_NUMBERS) % 250}"  # of this test alone
        self._pods = dict(_every_pod(documents))
        self._addresses = {name: f"{network}.{number}" for number, name in enumerate(self._pods, start=10)}
        self._running: dict[str, Container] = {}
        self._require_room()

    def pod(self, component: str) -> Pod:
        return self._pods[component]

    def running(self, component: str) -> Container:
        return self._running[component]

    def address(self, component: str) -> str:
        return self._addresses[component]

    def texts(self, kind: str, name: str) -> dict[str, str]:
        """Keys and texts of a ConfigMap or Secret."""
        operators = self.secrets.get(name) if kind == "Secret" else None
        return operators or data_of(named(self.documents, kind, name))

    async def start(self, *components: str) -> None:
        """Start pods that stay, in the order of nobody's need: those that need others wait for them."""
        for component in components:
            pod = self._pods[component]
            self._running[component] = self._container(pod, pod.spec["containers"][0])
            await self._running[component].start()

    async def ready(self, component: str) -> None:
        await self._running[component].answers("readinessProbe", READY_SECONDS)

    async def job(self, pod: Pod) -> list[str]:
        """Run the containers of a pod one after the other, each again while it fails; what each said."""
        restarts = 0 if pod.spec["restartPolicy"] == "Never" else RESTARTS
        return [await self._to_its_end(pod, spec, restarts) for spec in pod.containers]

    async def kill(self, component: str) -> None:
        container = self._running.pop(component)
        container.process.kill()
        await container.process.wait()

    async def stop(self) -> dict[str, int]:
        """Exit codes. Whoever works with NATS goes before it, and ClickHouse last."""
        servers = sorted((name for name in self._running if name.startswith(("nats", "clickhouse"))), reverse=True)
        codes = {}
        for names in ([name for name in self._running if name not in servers], servers):
            codes |= dict(
                zip(names, await asyncio.gather(*(self._running[name].stop() for name in names)), strict=True)
            )
        self._running.clear()
        return codes

    def _require_room(self) -> None:
        """Skips the test where something on this machine has a port at all addresses, or there is one loopback address only."""
        for name, pod in self._pods.items():
            for port in pod.ports().values():
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind((self._addresses[name], port))
                    except OSError as error:
                        pytest.skip(f"{self._addresses[name]}:{port} cannot be listened on: {error.strerror}")

    async def _to_its_end(self, pod: Pod, spec: Manifest, restarts: int) -> str:
        while True:
            container = self._container(pod, spec)
            await container.start()
            if await container.process.wait() == 0:
                return container.log()
            assert restarts > 0, f"{pod.owner}, {spec['name']}: {container.log()}"
            restarts -= 1

    def _container(self, pod: Pod, spec: Manifest) -> Container:
        found = [self._addresses[name] for name, one in self._pods.items() if one.name == pod.name]
        around = Surroundings(found[0] if found else "127.0.0.1", self._hosts(), self.texts)
        return Container(around, pod, spec, self._folder / pod.name / spec["name"])

    def _hosts(self) -> dict[str, str]:
        """Addresses by name, as the DNS of a cluster has them."""
        found = {}
        for service in of_kind(self.documents, "Service"):
            for name, pod in self._pods.items():
                if selects(service["spec"]["selector"], pod.labels):
                    found.setdefault(service["metadata"]["name"], self._addresses[name])
                    found[f"{pod.name}.{service['metadata']['name']}"] = self._addresses[name]
        return found


def _every_pod(documents: list[Manifest]):
    for pod in pods(documents):
        kind, _, name = pod.owner.partition(" ")
        if kind == "Pod":
            continue
        yield pod.component, pod
        replicas = named(documents, kind, name)["spec"]["replicas"] if kind == "StatefulSet" else 1
        for number in range(1, replicas):
            yield f"{pod.component}-{number}", pod._replace(name=f"{name}-{number}")


def control_port(container: Container) -> int:
    """That of the simulator, which it says in its first line."""
    return int(json.loads(container.log().splitlines()[0])["control"])
