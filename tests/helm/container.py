"""A container of a rendered pod as a process: its command, its environment, its files, its probes, its end."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from manifests import Manifest, Pod
from process_watching import until

from events.nats_server import find_binary

NATS = [str(find_binary())]
PROGRAMS = {"nats-server": NATS, "python": [sys.executable], "jetpost": [sys.executable, "-m", "jetpost"]}
CLICKHOUSE = [sys.executable, str(Path(__file__).parents[1] / "clickhouse_over_http.py")]
LISTEN = "0.0.0.0"
"""What the chart lets processes listen on: all addresses of a pod, which has one."""


class Surroundings(NamedTuple):
    """What a container has from its cluster."""

    address: str
    """Of its pod."""
    hosts: Mapping[str, str]
    """Addresses by name."""
    texts: Callable[[str, str], dict[str, str]]
    """Keys and texts of a ConfigMap or Secret, by kind and name."""


class Container:
    """One process. What it wants to be at a path of a mount is in a folder of its own."""

    def __init__(self, around: Surroundings, pod: Pod, spec: Manifest, folder: Path) -> None:
        self._around, self._pod, self.spec, self._folder = around, pod, spec, folder
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        self._paths = {
            mount["mountPath"]: folder / "root" / mount["mountPath"].lstrip("/") for mount in spec["volumeMounts"]
        }

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "it was started"
        return self._process

    def log(self) -> str:
        return self._log.read_text()

    def left_behind(self) -> list[str]:
        """What it wrote where it may not: the file system of a container is for reading, mounts apart."""
        return [path.name for path in self._folder.iterdir() if path.name not in ("log", "root")]

    async def start(self) -> None:
        self._mount()
        environment = self._environment()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(environment),
                env=environment,
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def execute(self, program: str, *arguments: str) -> str:
        """What a command says inside of it, as with `kubectl exec`."""
        process = await asyncio.create_subprocess_exec(
            *PROGRAMS[program],
            *map(self._here, arguments),
            env=self._environment(),
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said
        return said

    async def stop(self) -> int:
        """As the kubelet does: SIGTERM, and SIGKILL when its time is up."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._pod.spec.get("terminationGracePeriodSeconds", 30)):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        return self.process.returncode or 0

    async def answers(self, probe: str, seconds: float) -> None:
        """Wait until a probe says yes. Fails with the log where the process ends before."""

        async def asked() -> bool:
            assert self.process.returncode is None, f"{self._pod.name} ended:\n{self.log()[-3000:]}"
            return await asyncio.to_thread(self._asks, self.spec[probe])

        try:
            await until(asked, seconds)
        except TimeoutError:
            raise AssertionError(f"{self._pod.name}: {probe} says no:\n{self.log()[-3000:]}") from None

    def most_memory(self) -> int:
        """Bytes: the most that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024

    def _asks(self, probe: Manifest) -> bool:
        asked = probe.get("httpGet") or probe["tcpSocket"]
        port = {port["name"]: port["containerPort"] for port in self.spec["ports"]}[asked["port"]]
        with contextlib.suppress(OSError):
            if "tcpSocket" in probe:
                socket.create_connection((self._around.address, port), 1).close()
                return True
            with urllib.request.urlopen(f"http://{self._around.address}:{port}{asked['path']}", timeout=5) as answer:
                return answer.status == 200
        return False

    def _command(self, environment: dict[str, str]) -> list[str]:
        if self.spec["name"] == "clickhouse":
            return self._clickhouse(environment)
        program, *arguments = self.spec.get("command") or ["jetpost", *self.spec["args"]]
        return [*PROGRAMS[program], *map(self._here, arguments)]

    def _clickhouse(self, environment: dict[str, str]) -> list[str]:
        """chdb, for the user of the rendered configuration and with the password that it names."""
        users = ET.fromstring(self._paths["/etc/clickhouse-server/users.d/jetpost.xml"].read_text()).find("users")
        (user,) = [one for one in users if one.find("password") is not None]
        password = environment[user.find("password").attrib["from_env"]]
        (port,) = [port["containerPort"] for port in self.spec["ports"]]
        data = self._paths["/var/lib/clickhouse"]
        return [*CLICKHOUSE, self._around.address, str(port), str(data), user.tag, password]

    def _environment(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for variable in self.spec.get("env", []):
            source = variable.get("valueFrom", {})
            if wanted := source.get("secretKeyRef"):
                value = self._around.texts("Secret", wanted["name"])[wanted["key"]]
            elif source:
                assert source == {"fieldRef": {"fieldPath": "metadata.name"}}
                value = self._pod.name
            else:
                value = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], variable["value"])
            found[variable["name"]] = value
        here = {name: self._here(value) for name, value in found.items()}
        return {"PATH": os.environ["PATH"], "TMPDIR": self._here("/tmp"), "HOME": self._here("/tmp")} | here

    def _mount(self) -> None:
        volumes = {volume["name"]: volume for volume in self._pod.spec["volumes"]}
        for mount in self.spec["volumeMounts"]:
            path, volume = self._paths[mount["mountPath"]], volumes.get(mount["name"], {})
            source = volume.get("configMap") or volume.get("secret")
            if source is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            texts = self._around.texts("ConfigMap", source["name"]) if "name" in source else None
            texts = texts or self._around.texts("Secret", source["secretName"])
            names = {item["key"]: item["path"] for item in source.get("items", [])} or {key: key for key in texts}
            if "subPath" in mount:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._here(texts[mount["subPath"]]))
                continue
            path.mkdir(parents=True, exist_ok=True)
            for key, name in names.items():
                (path / name).write_text(self._here(texts[key]))

    def _here(self, text: str) -> str:
        """A text in which names and paths of the cluster stand, with what they are here. In one go: what was replaced is not
        looked at again."""
        paths, hosts = self._paths, self._around.hosts
        any_path = "|".join(map(re.escape, sorted(paths, key=len, reverse=True)))
        any_host = "|".join(map(re.escape, sorted(hosts, key=len, reverse=True)))
        path, host = rf"(?<![\w./-])({any_path})(?![\w.-])", rf"(?<![\w.-])({any_host})(?![\w-])(?:\.mail(?:\.svc)?\b)?"

        def here(found: re.Match[str]) -> str:
            return str(paths[found[1]]) if found[1] else hosts[found[2]] if found[2] else self._around.address

        return re.sub(f"{path}|{host}|{re.escape(LISTEN)}", here, text)
