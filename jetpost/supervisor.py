"""Runs Jetpost's components as child processes: starts them, waits until they are ready, restarts those that die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, NamedTuple

from jetpost.errors import ChildFailed
from jetpost.readiness import LIFELINE_VARIABLE, READY_VARIABLE
from jetpost.settings import FILE_VARIABLE
from jetpost.settings_tree import PREFIX

READY_WITHIN_SECONDS: Final = 60.0
STOP_WITHIN_SECONDS: Final = 90.0
"""Longer than the longest delivery: a sender that was told to stop first finishes what it has claimed."""
FIRST_RESTART_SECONDS: Final = 0.5
LAST_RESTART_SECONDS: Final = 30.0
"""Waits between restarts double from the first to the last; who lived longer than the last begins anew."""
_TAIL_BYTES: Final = 16_000
_JETPOST: Final = (sys.executable, "-P", "-m", "jetpost")
"""Without the working directory on the path: somebody's `click.py` there would stand in for a library."""

_log = logging.getLogger(__name__)


class Component(NamedTuple):
    """What to run: `jetpost <arguments>`."""

    name: str
    """Unique among the supervised, such as `sender-2`; names its log file."""
    arguments: Sequence[str]
    program: Sequence[str] = _JETPOST


class Child:
    """One supervised process, restarted for as long as it is wanted."""

    def __init__(
        self,
        component: Component,
        environment: Mapping[str, str],
        log_dir: pathlib.Path,
        inherited: Sequence[int] = (),
    ) -> None:
        self.component = component
        self.log_path = log_dir / f"{component.name}.log"
        self.addresses: dict[str, str] = {}
        self.restarts = 0
        self._environment = environment
        self._inherited = inherited
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: IO[bytes] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._log_begins = 0

    @property
    def pid(self) -> int | None:
        """The process id of the present incarnation."""
        return self._process.pid if self._process else None

    async def start(self, on_change: Callable[[], None]) -> None:
        """Return when the component is ready. Raises `ChildFailed` where it dies before, or takes too long.

        `on_change` is called whenever it is ready again after a restart, maybe under other addresses.
        """
        process = await self._spawn()
        self._watcher = asyncio.create_task(self._restart_when_it_dies(process, on_change), name=self.component.name)

    async def stop(self) -> None:
        """Ask it to stop, wait for it to finish what it holds, and only then make it. Harmless where it does not run."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
        process = self._process
        if process and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_WITHIN_SECONDS):
                    await process.wait()
            except TimeoutError:
                _log.warning("%s did not stop in time and was killed", self.component.name)
                await _kill(process)
        self._close_lifeline()

    def log_tail(self, lines: int = 20) -> str:
        """The end of what its present incarnation logged, for people."""
        try:
            with self.log_path.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_begins, end - _TAIL_BYTES))
                return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._close_lifeline()
        ready, say_ready = _pipe()
        see_end, self._lifeline = _pipe()
        with contextlib.ExitStack() as ours:
            for theirs in (say_ready, see_end):
                ours.enter_context(theirs)
            with contextlib.ExitStack() as until_read:
                until_read.enter_context(ready)
                self._process = process = await self._execute(say_ready.fileno(), see_end.fileno())
                until_read.pop_all()
        self.addresses = await self._ready(process, ready)
        return process

    async def _execute(self, say_ready: int, see_end: int) -> asyncio.subprocess.Process:
        fds = {READY_VARIABLE: str(say_ready), LIFELINE_VARIABLE: str(see_end)}
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._log_begins = log.tell()
            return await asyncio.create_subprocess_exec(
                *self.component.program,
                *self.component.arguments,
                env={**_environment_of_ours(), **self._environment, **fds},
                pass_fds=(say_ready, see_end, *self._inherited),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops its children in order
            )

    async def _ready(self, process: asyncio.subprocess.Process, pipe: IO[bytes]) -> dict[str, str]:
        """The addresses that the child announces. Where it does not in time, or ends before, it is gone afterwards."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            line = b""
        finally:
            transport.close()
        if not line.endswith(b"\n"):
            await _kill(process)
            raise ChildFailed(f"{self.component.name} did not come up:\n{self.log_tail()}")
        addresses: dict[str, str] = json.loads(line)
        return addresses

    async def _restart_when_it_dies(self, process: asyncio.subprocess.Process, on_change: Callable[[], None]) -> None:
        pause = FIRST_RESTART_SECONDS
        while True:
            ready_at = time.monotonic()
            status = await process.wait()
            if time.monotonic() - ready_at > LAST_RESTART_SECONDS:
                pause = FIRST_RESTART_SECONDS
            _log.warning("%s ended with status %s; it is started again", self.component.name, status)
            process = await self._restart(pause)
            pause = min(pause * 2, LAST_RESTART_SECONDS)
            on_change()

    async def _restart(self, pause: float) -> asyncio.subprocess.Process:
        """Try until it is ready."""
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_RESTART_SECONDS)
            self.restarts += 1
            try:
                return await self._spawn()
            except (ChildFailed, OSError) as error:
                _log.error("%s; it is tried again in %g s", error, pause)

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return os.fdopen(read, "rb", buffering=0), os.fdopen(write, "wb", buffering=0)


def _environment_of_ours() -> dict[str, str]:
    """Our environment without settings: a child gets all of them from its supervisor, none from files."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(f"{PREFIX}_")}
    return {**plain, FILE_VARIABLE: os.devnull}


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
