"""Sender processes in place of pods: as many as are asked for, and each a while after it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from jetpost.supervisor import Child


class Pods:
    """Does what a Deployment does: brings up what is missing, and lets go of the newest that are too many."""

    def __init__(self, make: Callable[[int], Child], start_seconds: float) -> None:
        """`start_seconds` pass before a process is begun, as for a place and an image."""
        self.most = 0
        """Of the numbers that were asked for."""
        self._make = make
        self._start_seconds = start_seconds
        self._pods: list[_Pod] = []
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Those that are ready."""
        return sum(1 for pod in self._pods if pod.ready)

    def become(self, wanted: int) -> None:
        """Begin what it takes; `close` waits for it."""
        self.most = max(self.most, wanted)
        while len(self._pods) < wanted:
            self._pods.append(_Pod(self._make(len(self._pods) + 1), self._start_seconds))
        while len(self._pods) > wanted:
            self._leave(self._pods.pop().stop())

    async def close(self) -> None:
        """Returns when none is left."""
        self.become(0)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _leave(self, stopping: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(stopping)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class _Pod:
    def __init__(self, child: Child, start_seconds: float) -> None:
        self.ready = False
        self._child = child
        self._starting = asyncio.create_task(self._start(start_seconds))

    async def _start(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._child.start(lambda: None)
        self.ready = True

    async def stop(self) -> None:
        self._starting.cancel()
        await asyncio.wait({self._starting})
        await self._child.stop()
