"""Runs what manifests say, as processes: every container with exactly its command, environment and files.

Each pod has a loopback address of its own, so that ports stay as rendered. Only two things are put in the place of others, as a
cluster would: names of services by addresses, and paths of mounts by folders of the test.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

from manifests import Manifest, Pod, data_of, named, of_kind, pods, selects
from process_watching import until

from events.nats_server import find_binary

PROGRAMS = {"nats": [str(find_binary())], "jetpost": [sys.executable, "-m", "jetpost"]}
CLICKHOUSE = Path(__file__).parents[1] / "clickhouse_over_http.py"
READY_SECONDS = 60
LISTEN = "0.0.0.0"
"""What the chart lets processes listen on: all addresses of a pod, which has one."""


class Release:
    """The pods of a rendering, by component."""

    def __init__(self, documents: list[Manifest], folder: Path, operators: dict[str, dict[str, str]]) -> None:
        """`operators`: Secrets that the chart is only told of, with their keys."""
        self.documents = documents
        self._folder = folder
        self._secrets = operators
        subnet = random.randrange(1, 250)
        self._pods = {pod.component: pod for pod in pods(documents) if not pod.owner.startswith("Pod ")}
        self._addresses = {name: f"127.{subnet}.7.{number}" for number, name in enumerate(self._pods, start=10)}
        self._running: dict[str, Container] = {}

    def pod(self, component: str) -> Pod:
        return self._pods[component]

    def address(self, component: str) -> str:
        return self._addresses[component]

    def hosts(self) -> dict[str, str]:
        """Addresses by name, as the DNS of the cluster has them: all services have one pod."""
        found = {}
        for service in of_kind(self.documents, "Service"):
            (component,) = [n for n, pod in self._pods.items() if selects(service["spec"]["selector"], pod.labels)]
            found[service["metadata"]["name"]] = self._addresses[component]
        return found

    def container(self, pod: Pod, spec: Manifest, component: str = "") -> "Container":
        component = component or pod.component
        address = self._addresses.get(component, "127.0.0.1")
        return Container(self, pod, spec, self._folder / pod.name / spec["name"], address)

    async def start(self, *components: str) -> None:
        """Start pods that stay, in the order of nobody's need: those that need others wait for them."""
        for component in components:
            pod = self._pods[component]
            self._running[component] = container = self.container(pod, pod.spec["containers"][0])
            await container.start()

    async def ready(self, component: str) -> None:
        await self._running[component].answers("readinessProbe", READY_SECONDS)

    def running(self, component: str) -> "Container":
        return self._running[component]

    async def job(self, pod: Pod) -> list[str]:
        """Run the containers of a pod one after the other, each again while it fails; what each said."""
        said = []
        restarts = 0 if pod.spec["restartPolicy"] == "Never" else 5
        for spec in pod.containers:
            for _ in range(restarts + 1):
                container = self.container(pod, spec)
                await container.start()
                code = await container.ended()
                if code == 0:
                    break
            assert code == 0, f"{pod.owner}, {spec['name']}: {container.log()}"
            said.append(container.log())
        return said

    async def stop(self) -> dict[str, int]:
        """Exit codes. Whoever works with NATS goes before it, and ClickHouse last."""
        servers = [name for name in ("nats", "clickhouse") if name in self._running]
        first = [name for name in self._running if name not in servers]
        codes = dict(zip(first, await asyncio.gather(*(self._running[name].stop() for name in first)), strict=True))
        for name in servers:
            codes[name] = await self._running[name].stop()
        self._running.clear()
        return codes

    def text_of(self, kind: str, name: str, key: str) -> str:
        if kind == "Secret" and name in self._secrets:
            return self._secrets[name][key]
        return data_of(named(self.documents, kind, name))[key]


class Container:
    """One process."""

    def __init__(self, release: Release, pod: Pod, spec: Manifest, folder: Path, address: str) -> None:
        self._release, self._pod, self.spec, self._folder, self._address = release, pod, spec, folder, address
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "log"
        self._paths = {
            mount["mountPath"]: folder / "root" / mount["mountPath"].lstrip("/") for mount in spec["volumeMounts"]
        }

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    def log(self) -> str:
        return self.log_path.read_text()

    async def start(self) -> None:
        self._mount()
        environment = {name: self._here(value) for name, value in self._environment().items()}
        ours = {"PATH": os.environ["PATH"], "TMPDIR": self._here("/tmp"), "HOME": self._here("/tmp")}
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(environment),
                env={**ours, **environment},
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ended(self) -> int:
        assert self._process is not None, "it was started"
        return await self._process.wait()

    async def stop(self) -> int:
        """As the kubelet does: SIGTERM, and SIGKILL when its time is up."""
        assert self._process is not None, "it was started"
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._pod.spec.get("terminationGracePeriodSeconds", 30)):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        return self._process.returncode or 0

    async def answers(self, probe: str, seconds: float = 10) -> None:
        """Wait until a probe says yes. Fails with the log where the process ends before."""

        async def asked() -> bool:
            assert self._process is not None, "it was started"
            assert self._process.returncode is None, f"{self._pod.name} ended:\n{self.log()[-3000:]}"
            return await asyncio.to_thread(self._asks, self.spec[probe])

        try:
            await until(asked, seconds)
        except TimeoutError:
            raise AssertionError(f"{self._pod.name}: {probe} says no:\n{self.log()[-3000:]}") from None

    def most_memory(self) -> int:
        """Bytes: the most that it has had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024

    def _asks(self, probe: Manifest) -> bool:
        asked = probe.get("httpGet") or probe["tcpSocket"]
        port = {port["name"]: port["containerPort"] for port in self.spec["ports"]}[asked["port"]]
        with contextlib.suppress(OSError):
            if "tcpSocket" in probe:
                socket.create_connection((self._address, port), 1).close()
                return True
            with urllib.request.urlopen(f"http://{self._address}:{port}{asked['path']}", timeout=5) as answer:
                return answer.status == 200
        return False

    def _command(self, environment: dict[str, str]) -> list[str]:
        if self.spec["name"] == "clickhouse":
            return self._clickhouse(environment)
        if command := self.spec.get("command"):
            assert command[0] == "nats-server"
            return [*PROGRAMS["nats"], *map(self._here, command[1:])]
        return [*PROGRAMS["jetpost"], *map(self._here, self.spec["args"])]

    def _clickhouse(self, environment: dict[str, str]) -> list[str]:
        """chdb, for the user of the rendered configuration and with the password that it names."""
        mounted = self._paths["/etc/clickhouse-server/users.d/jetpost.xml"].read_text()
        (user,) = [one for one in ET.fromstring(mounted).find("users") if one.find("password") is not None]
        password = environment[user.find("password").attrib["from_env"]]
        data = self._paths["/var/lib/clickhouse"]
        (port,) = [port["containerPort"] for port in self.spec["ports"]]
        return [sys.executable, str(CLICKHOUSE), self._address, str(port), str(data), user.tag, password]

    def _environment(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for variable in self.spec.get("env", []):
            source = variable.get("valueFrom", {})
            if "secretKeyRef" in source:
                wanted = source["secretKeyRef"]
                value = self._release.text_of("Secret", wanted["name"], wanted["key"])
            elif "fieldRef" in source:
                assert source["fieldRef"] == {"fieldPath": "metadata.name"}
                value = self._pod.name
            else:
                value = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], variable["value"])
            found[variable["name"]] = value
        return found

    def _mount(self) -> None:
        volumes = {volume["name"]: volume for volume in self._pod.spec["volumes"]}
        for mount in self.spec["volumeMounts"]:
            path, volume = self._paths[mount["mountPath"]], volumes.get(mount["name"], {})
            if source := volume.get("configMap") or volume.get("secret"):
                kind = "ConfigMap" if "configMap" in volume else "Secret"
                name = source.get("name") or source["secretName"]
                keys = [mount["subPath"]] if "subPath" in mount else [item["key"] for item in source.get("items", [])]
                keys = keys or list(data_of(named(self._release.documents, kind, name)))
                for key in keys:
                    file = path if "subPath" in mount else path / key
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(self._here(self._release.text_of(kind, name, key)))
            else:
                path.mkdir(parents=True, exist_ok=True)

    def _here(self, text: str) -> str:
        """A text in which names and paths of the cluster stand, with what they are here. In one go: what was replaced is not
        looked at again."""
        paths, hosts = self._paths, self._release.hosts()
        any_path = "|".join(map(re.escape, sorted(paths, key=len, reverse=True)))
        any_host = "|".join(map(re.escape, sorted(hosts, key=len, reverse=True)))
        path, host = rf"(?<![\w./-])({any_path})(?![\w.-])", rf"(?<![\w.-])({any_host})(?![\w-])(?:\.mail(?:\.svc)?\b)?"

        def here(found: re.Match[str]) -> str:
            return str(paths[found[1]]) if found[1] else hosts[found[2]] if found[2] else self._address

        return re.sub(f"{path}|{host}|{re.escape(LISTEN)}", here, text)


def control_port(container: Container) -> int:
    """That of the simulator, which it says in its first line."""
    return int(json.loads(container.log().splitlines()[0])["control"])
