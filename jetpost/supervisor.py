"""Runs Jetpost's components as child processes: starts them, waits until they are ready, restarts those that die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from jetpost.readiness import LIFELINE_VARIABLE, READY_VARIABLE
from jetpost.settings import FILE_VARIABLE
from jetpost.settings_tree import PREFIX

READY_WITHIN_SECONDS: Final = 60.0
STOP_WITHIN_SECONDS: Final = 90.0
"""Longer than the longest delivery: a sender that was told to stop first finishes what it has claimed."""
FIRST_RESTART_SECONDS: Final = 0.5
LAST_RESTART_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


class ChildFailed(Exception):
    """A component did not come up; the message has the end of its log."""


class Component(NamedTuple):
    """What to run: `jetpost <arguments>`."""

    name: str
    """Unique among the supervised, such as `sender-2`; names its log file."""
    arguments: Sequence[str]


def _environment_of_ours() -> dict[str, str]:
    """Our environment without settings: a child gets all of them from its supervisor, none from files."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(f"{PREFIX}_")}
    return {**plain, FILE_VARIABLE: os.devnull}


class Child:
    """One supervised process, restarted for as long as it is wanted."""

    def __init__(self, component: Component, environment: Mapping[str, str], log_dir: pathlib.Path) -> None:
        self.component = component
        self.log_path = log_dir / f"{component.name}.log"
        self.addresses: dict[str, str] = {}
        self.restarts = 0
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the present incarnation."""
        return self._process.pid if self._process else None

    async def start(self, on_change: Callable[[], None]) -> None:
        """Return when the component is ready. Raises `ChildFailed` where it dies before, or takes too long."""
        await self._spawn()
        self._watcher = asyncio.create_task(self._restart_when_it_dies(on_change), name=self.component.name)

    async def stop(self) -> None:
        """Ask it to stop, wait for it to finish what it holds, and only then make it."""
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        process = self._process
        if process and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_WITHIN_SECONDS):
                    await process.wait()
            except TimeoutError:
                _log.warning("%s did not stop in time and was killed", self.component.name)
                process.kill()
                await process.wait()
        self._close_lifeline()

    async def _spawn(self) -> None:
        self._close_lifeline()
        ready_read, ready_write = os.pipe()
        lifeline_read, self._lifeline = os.pipe()
        fds = {READY_VARIABLE: str(ready_write), LIFELINE_VARIABLE: str(lifeline_read)}
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jetpost",
                *self.component.arguments,
                env={**_environment_of_ours(), **self._environment, **fds},
                pass_fds=(ready_write, lifeline_read),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops its children in order
            )
        os.close(ready_write)
        os.close(lifeline_read)
        self.addresses = await self._ready(ready_read)

    async def _ready(self, descriptor: int) -> dict[str, str]:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
        )
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            line = b""
        finally:
            transport.close()
        if not line:
            if self._process and self._process.returncode is None:
                self._process.kill()
            raise ChildFailed(f"{self.component.name} did not come up:\n{self.log_tail()}")
        addresses: dict[str, str] = json.loads(line)
        return addresses

    async def _restart_when_it_dies(self, on_change: Callable[[], None]) -> None:
        pause = FIRST_RESTART_SECONDS
        while self._process:
            status = await self._process.wait()
            self.restarts += 1
            _log.warning("%s ended with status %s; it is started again", self.component.name, status)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_RESTART_SECONDS)
            with contextlib.suppress(ChildFailed):
                await self._spawn()
                pause = FIRST_RESTART_SECONDS
                on_change()

    def log_tail(self, lines: int = 20) -> str:
        """The end of what the component logged, for people."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-lines:])
        return ""

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
