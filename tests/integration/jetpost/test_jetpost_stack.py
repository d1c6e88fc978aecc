"""`jetpost up` and components as processes, as an operator starts and ends them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import urllib.request
from urllib.error import HTTPError

import pytest
from process_watching import alive, until

from events.nats_bus import BusSettings, NatsBus
from jetpost import runtime
from jetpost.settings import Settings, to_environment


def environment(tmp_path, **variables: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JETPOST_")}
    return {**ours, "JETPOST_DATA_DIR": str(tmp_path / "data"), "JETPOST_WEB_PORT": "0", **variables}


@pytest.fixture
async def jetpost(tmp_path):
    """Starts `jetpost …` in a folder of its own; whatever still runs at the end is killed."""
    started = []

    async def start(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "jetpost",
            *arguments,
            cwd=tmp_path,
            env=environment(tmp_path, **variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process, text: str) -> str:
    """Wait for a line with this text."""
    heard = ""
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
            heard += line
    raise AssertionError(f"the process ended without saying {text!r}:\n{heard}")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


async def test_a_stack_comes_up_is_found_and_goes_down_in_order(jetpost, tmp_path):
    (tmp_path / "click.py").write_text("raise SystemExit('not a library')")  # a file of the user's is no module of ours
    early = await jetpost(
        "bounces", "run", JETPOST_SENDER_VERP_SECRET="correct horse battery staple", JETPOST_BOUNCES_PORT="0"
    )
    assert "start one" in await said(early, "waiting for NATS")
    up = await jetpost("up")
    await said(up, "Jetpost is up.")
    await said(early, "taking bounce mail")
    running = runtime.find(tmp_path / "data")
    assert sorted(running.metrics) == ["producer-1", "sender-1", "web"]
    shown = {name: await asyncio.to_thread(get, url) for name, url in running.metrics.items()}
    assert "mails_queued" in shown["producer-1"]
    assert "dlq_size" in shown["web"]
    assert "dlq_size" not in shown["sender-1"]

    again = await jetpost("up")
    await said(again, f"already up in {tmp_path / 'data'} (process {up.pid}")
    assert await again.wait() == 2

    status = await jetpost("status")
    await said(status, "No campaign yet")

    up.terminate()
    await said(up, "Stopping")
    assert await up.wait() == 0
    early.terminate()
    assert await early.wait() == 0
    assert runtime.find(tmp_path / "data") is None
    for name in ("web", "sender-1", "producer-1"):
        log = [json.loads(line) for line in (tmp_path / "data" / "logs" / f"{name}.log").read_text().splitlines()]
        assert [line["message"] for line in log if line["logger"] == "jetpost"] == ["started", "stopped"]


async def test_a_stack_that_is_killed_leaves_nothing_and_comes_up_again(jetpost, tmp_path):
    up = await jetpost("up")
    await said(up, "Jetpost is up.")
    nats = int((tmp_path / "data" / "nats" / "lock").read_text())
    up.kill()
    await until(lambda: not alive(nats))
    logs = tmp_path / "data" / "logs"
    assert all("stopped" in log.read_text() for log in logs.iterdir())
    again = await jetpost("up")
    await said(again, "Jetpost is up.")
    again.send_signal(signal.SIGINT)
    assert await again.wait() == 0


async def test_a_stack_that_cannot_come_up_says_why_and_leaves_nothing(jetpost, tmp_path, free_port):
    port = free_port()
    blocker = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with blocker:
        up = await jetpost("up", JETPOST_WEB_PORT=str(port))
        await said(up, "web did not come up")
        await said(up, f"cannot listen on 127.0.0.1:{port}")
        assert await up.wait() == 2
    assert not alive(int((tmp_path / "data" / "nats" / "lock").read_text()))


async def test_a_stack_can_be_stopped_while_it_comes_up(jetpost, tmp_path):
    up = await jetpost("up")
    lock = tmp_path / "data" / "nats" / "lock"
    await until(lambda: lock.exists() and lock.read_text())
    up.terminate()
    assert await up.wait() == 0
    assert not alive(int(lock.read_text()))


async def test_a_component_waits_for_nats_and_ends_when_told(jetpost):
    producer = await jetpost("producer", "run", JETPOST_NATS_URL="nats://me:hush@127.0.0.1:1")
    line = json.loads(await said(producer, "waiting for NATS"))
    assert line["component"] == "producer"
    assert "hush" not in line["message"]
    producer.terminate()
    assert await producer.wait() == 0


async def test_a_port_for_metrics_that_is_taken_is_one_clear_line(jetpost, free_port):
    port = free_port()
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", port):
        sender = await jetpost("sender", "run", JETPOST_METRICS_PORT=str(port))
        line = json.loads(await said(sender, "metrics"))
        assert line["level"] == "critical"
        assert f"cannot serve metrics on 127.0.0.1:{port}" in line["message"]
        assert await sender.wait() == 2


async def test_setup_makes_the_streams(jetpost, empty_nats_server):
    url = empty_nats_server.url
    setup = await jetpost("setup", JETPOST_NATS_URL=url)
    await said(setup, "Streams are as this release needs them")
    assert await setup.wait() == 0
    bus = await NatsBus.connect(BusSettings(url=url), name="test")
    assert (await bus.stream_state("EVENTS")).last_sequence == 0
    await bus.close()


async def test_public_pages_are_served_alone_with_nats_and_nothing_else(jetpost, empty_nats_server, free_port):
    url, port = empty_nats_server.url, free_port()
    assert await (await jetpost("setup", JETPOST_NATS_URL=url)).wait() == 0
    public = {"JETPOST_NATS_URL": url, "JETPOST_WEB_PORT": str(port), "JETPOST_WEB_SERVE": "public"}
    without = await jetpost("web", "run", **public)
    assert "JETPOST_WEB_LINK_SECRET" in json.loads(await said(without, "link_secret"))["message"]
    assert await without.wait() == 2

    web = await jetpost("web", "run", **public, JETPOST_WEB_LINK_SECRET="correct horse battery staple")
    await said(web, "started")

    async def answers():
        with contextlib.suppress(OSError):
            return await asyncio.to_thread(get, f"http://localhost:{port}/readyz")

    await until(answers)
    assert "Disallow" in await asyncio.to_thread(get, f"http://localhost:{port}/robots.txt")
    with pytest.raises(HTTPError, match="404"):
        await asyncio.to_thread(get, f"http://localhost:{port}/api/campaigns")
    web.terminate()
    assert await web.wait() == 0


def test_what_a_stack_gives_its_children_is_complete():
    assert to_environment(Settings())["JETPOST_SENDER_POOLS_DEFAULT_PORT"] == "25"
