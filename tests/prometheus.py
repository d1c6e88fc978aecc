"""A real Prometheus (Debian's), which scrapes, evaluates rules and answers queries; and promtool."""

import asyncio
import contextlib
import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from mtas.base import UNPACKED

ANSWERS_WITHIN_SECONDS = 30


def program(name):
    """The path of `prometheus` or `promtool`; skips the test where it is not installed."""
    found = shutil.which(name) or UNPACKED / "usr/bin" / name
    if not Path(found).exists():
        pytest.skip(f"{name} is missing (Debian: tests/system-packages.sh, as root, gets it)")
    return found


class Prometheus:
    """`targets`: addresses that it scrapes at `/metrics`, five times a second, under the job `jetpost`."""

    def __init__(self, port):
        self.port = port

    async def ask(self, path, **parameters):
        """The data of an answer of its HTTP API. Raises `AssertionError` with its words where it refuses."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        answer = json.loads(await asyncio.to_thread(_fetch, url))
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression):
        """The series of an instant query: labels and value of each."""
        data = await self.ask("query", query=expression)
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]


def _fetch(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.read()


@contextlib.asynccontextmanager
async def running(folder, port, targets, rules=()):
    """A server with its data in `folder`, until the block ends; it answers when the block begins."""
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [{"job_name": "jetpost", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stderr=log,
        )
    try:
        server = Prometheus(port)
        async with asyncio.timeout(ANSWERS_WITHIN_SECONDS):
            while b"ready to receive web requests" not in (folder / "log").read_bytes():
                assert process.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.05)  # its log is the only signal it gives
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
