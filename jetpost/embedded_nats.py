"""The embedded nats-server of a stack, kept up: it is started again at its address, and ends with whoever runs the stack.

It is started again when it died, and when it says that it is ill: a stream that met a full disk takes nothing more until then,
even when there is room again. The next stack of the folder begins at the same address, if it is free: who waits there finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from events.errors import EmbeddedServerFailed
from events.nats_server import NatsServer

RESTART_SECONDS: Final = 0.5
LEFT_BEHIND_SECONDS: Final = 30.0
"""How long a server that a killed stack left behind may take to end."""

LOOK_SECONDS: Final = 2.0
ILL_FOR_SECONDS: Final = 10.0
"""A server that says for this long that something is wrong is started again."""
ROOM_BYTES: Final = 16_000_000
"""With less free on the disk a new start would end as the last one did."""

_PORT: Final = "port"
"""The file that remembers the server's port."""

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
        server = NatsServer(store_dir, _port_of_last_time(store_dir), sync_interval=sync_interval)
        await server.start()
        (store_dir / _PORT).write_text(f"{server.port}\n", "ascii")
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
                await _until_ended_or_ill(server)
        except BaseException:
            await server.stop()
            raise
        server = NatsServer(server.store_dir, port, sync_interval=sync_interval)
        await _start(server)


async def _until_ended_or_ill(server: NatsServer) -> None:
    """Returns when the server has to be started again, and does not run any more."""
    ended = asyncio.create_task(server.wait())
    try:
        illness = _Illness(server.store_dir)
        while not (await asyncio.wait({ended}, timeout=LOOK_SECONDS))[0]:
            if illness.needs_restart(await server.ailment(), asyncio.get_running_loop().time()):
                await server.stop()
                return
        _log.warning("nats-server ended with status %s; it is started again", ended.result())
    finally:
        ended.cancel()


class _Illness:
    """Since when a server has been saying that something is wrong."""

    def __init__(self, store_dir: Path) -> None:
        self._store_dir = store_dir
        self._since: float | None = None
        self._said_full = False

    def needs_restart(self, ailment: str, now: float) -> bool:
        if not ailment:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        free = shutil.disk_usage(self._store_dir).free
        if free < ROOM_BYTES:
            self._say_full(free)
            return False
        if now - self._since < ILL_FOR_SECONDS:
            return False
        _log.error("nats-server is ill and is started again: %s", ailment)
        return True

    def _say_full(self, free: int) -> None:
        if not self._said_full:
            _log.error(
                "the disk of %s is full (%d MB free): make room, and everything goes on. Nothing is lost",
                self._store_dir,
                free // 1_000_000,
            )
            self._said_full = True


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


def _port_of_last_time(store_dir: Path) -> int:
    """0, for any, where there was none or somebody else has it now."""
    try:
        port = int((store_dir / _PORT).read_text("ascii"))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: it may just have ended
            probe.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return 0
    return port


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
