"""The embedded nats-server of a stack, kept up: it is started again at its address, and ends with whoever runs the stack."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from events.errors import EmbeddedServerFailed
from events.nats_server import NatsServer

RESTART_SECONDS: Final = 0.5
LEFT_BEHIND_SECONDS: Final = 30.0
"""How long a server that a killed stack left behind may take to end."""

_log = logging.getLogger(__name__)


class KeptUp(NamedTuple):
    """A server that runs."""

    url: str
    lifeline: int
    """While any process holds this descriptor open, the server stays: who needs it until its own end inherits it."""


@contextlib.asynccontextmanager
async def kept_up(store_dir: Path, sync_interval: str) -> AsyncIterator[KeptUp]:
    """A server runs inside. Only for the one owner of the folder (`runtime.owned`). Raises `EmbeddedServerFailed`."""
    await _end_left_behind(store_dir)
    see_end, lifeline = os.pipe()
    with os.fdopen(see_end, "rb") as watched, os.fdopen(lifeline, "wb"):
        server = NatsServer(store_dir, sync_interval=sync_interval)
        await server.start()
        guarded = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(_keep(server, sync_interval, watched, guarded), name="embedded nats-server")
        try:
            # Killed before its guard is there, we would leave the server behind: nobody is to hear of it sooner.
            await asyncio.wait({keeper, guarded}, return_when=asyncio.FIRST_COMPLETED)
            if keeper.done():
                keeper.result()
            yield KeptUp(server.url, lifeline)
        finally:
            keeper.cancel()
            await asyncio.wait({keeper})


async def _keep(server: NatsServer, sync_interval: str, watched: IO[bytes], guarded: asyncio.Future[None]) -> None:
    while True:
        port = server.port
        try:
            async with _guarded(server.pid, watched):
                if not guarded.done():
                    guarded.set_result(None)
                code = await server.wait()
        except BaseException:
            await server.stop()
            raise
        _log.warning("nats-server ended with status %s; it is started again", code)
        server = NatsServer(server.store_dir, port, sync_interval=sync_interval)
        await _start(server)


async def _start(server: NatsServer) -> None:
    while True:
        await asyncio.sleep(RESTART_SECONDS)
        try:
            return await server.start()
        except EmbeddedServerFailed as error:
            _log.error("%s; it is tried again", error)


@contextlib.asynccontextmanager
async def _guarded(pid: int, watched: IO[bytes]) -> AsyncIterator[None]:
    """Stop the server even where we are killed: a shell waits until nobody holds the lifeline any more."""
    guard = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        'read -r _; kill -TERM "$0"',
        str(pid),
        stdin=watched,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            guard.kill()
        await guard.wait()


async def _end_left_behind(store_dir: Path) -> None:
    """End the server that still has the folder although its stack is gone (the guard was killed, too)."""
    lock = store_dir / "lock"
    if not lock.exists():
        return
    deadline = asyncio.get_running_loop().time() + LEFT_BEHIND_SECONDS
    with lock.open("rb") as held:
        while not _is_free(held):
            if asyncio.get_running_loop().time() > deadline:
                return  # starting ours will say who has it
            with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
                os.kill(int(lock.read_text("ascii")), signal.SIGTERM)
            await asyncio.sleep(0.1)


def _is_free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True
