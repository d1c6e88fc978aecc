"""The embedded nats-server of a stack, kept up."""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from urllib.parse import urlsplit

from nats.aio.client import Client
from process_watching import alive, until

from events.nats_server import NatsServer
from jetpost import embedded_nats


async def answers(url: str) -> None:
    """Return when a server answers there."""
    async with asyncio.timeout(30):
        while True:
            client = Client()
            with contextlib.suppress(Exception):
                await client.connect(url, allow_reconnect=False, error_cb=_ignore)
                await client.close()
                return
            await asyncio.sleep(0.05)


async def _ignore(_error: Exception) -> None:
    """Failing is what is waited for to end."""


def pid_in(store) -> int:
    return int((store / "lock").read_text())


async def test_a_server_that_is_killed_comes_back_at_its_address(tmp_path):
    async with embedded_nats.kept_up(tmp_path, "2m") as server:
        first = pid_in(tmp_path)
        os.kill(first, signal.SIGKILL)
        await until(lambda: not alive(first))
        await answers(server.url)
        second = pid_in(tmp_path)
        assert second != first
    await until(lambda: not alive(second))


async def test_the_next_stack_of_a_folder_begins_at_the_same_address_unless_somebody_else_has_it(tmp_path):
    async with embedded_nats.kept_up(tmp_path, "2m") as server:
        url = server.url
    async with embedded_nats.kept_up(tmp_path, "2m") as server:
        assert server.url == url
    async with (
        await asyncio.start_server(lambda *_: None, "127.0.0.1", urlsplit(url).port),
        embedded_nats.kept_up(tmp_path, "2m") as server,
    ):
        assert server.url != url
        await answers(server.url)


async def test_a_server_that_another_stack_left_behind_is_ended_first(tmp_path):
    left = NatsServer(tmp_path)
    await left.start()
    try:
        async with embedded_nats.kept_up(tmp_path, "2m") as server:
            await answers(server.url)
            assert await left.wait() is not None
    finally:
        await left.stop()


async def test_the_server_ends_when_the_stack_is_killed_but_after_those_who_hold_the_lifeline(tmp_path):
    script = f"""
        import asyncio, subprocess, sys
        from pathlib import Path
        from jetpost import embedded_nats

        async def main():
            async with embedded_nats.kept_up(Path({str(tmp_path)!r}), "2m") as server:
                holder = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL, pass_fds=(server.lifeline,))
                print(holder.pid, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """
    stack = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), stdout=asyncio.subprocess.PIPE
    )
    holder = int(await stack.stdout.readline())
    server = pid_in(tmp_path)
    stack.kill()
    await stack.wait()
    assert alive(server)
    os.kill(holder, signal.SIGKILL)
    await until(lambda: not alive(server))
