"""One snapshot a second for everyone who watches, and none when nobody does.

However many browsers look at a campaign, ClickHouse and NATS are asked once. A client that reads slowly misses snapshots
in between and gets the newest one next (each is complete), so that nothing piles up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, TypeAlias

from analytics.errors import AnalyticsError
from events.errors import BusError

INTERVAL_SECONDS: Final = 1.0

Topic: TypeAlias = str
"""A campaign's id, or "" for the overview."""

_log = logging.getLogger(__name__)


class Frame(NamedTuple):
    number: int
    payload: bytes


class Watcher:
    """One client's place in the hub: holds the newest frame that it has not taken yet."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._changed = asyncio.Event()
        self.closed = False
        """The hub has ended; nothing more comes."""

    def offer(self, frame: Frame) -> None:
        self._frame = frame
        self._changed.set()

    def close(self) -> None:
        self.closed = True
        self._changed.set()

    async def next(self, max_wait_seconds: float) -> Frame | None:
        """The newest frame, as soon as there is one; None after `max_wait_seconds` without, and at once when `closed`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max_wait_seconds):
                await self._changed.wait()
        self._changed.clear()
        frame, self._frame = self._frame, None
        return frame


class Hub:
    """`compose` turns a topic into a complete, encoded snapshot. Owned by the app's lifespan: `run` until cancelled."""

    def __init__(self, compose: Callable[[Topic], Awaitable[bytes]]) -> None:
        self._compose = compose
        self._watchers: dict[Topic, set[Watcher]] = {}
        self._newest: dict[Topic, Frame] = {}
        self._number = 0
        self._wanted = asyncio.Event()

    @contextmanager
    def watch(self, topic: Topic) -> Iterator[Watcher]:
        """A place for a client. It gets the newest frame at once where others watch already, else with the next round."""
        watcher = Watcher()
        if topic in self._newest:
            watcher.offer(self._newest[topic])
        self._watchers.setdefault(topic, set()).add(watcher)
        self._wanted.set()
        try:
            yield watcher
        finally:
            self._forget(topic, watcher)

    @property
    def topics(self) -> frozenset[Topic]:
        """What is being watched."""
        return frozenset(self._watchers)

    def close(self) -> None:
        """End every client's stream."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            started = loop.time()
            await self._round()
            await self._pause(started + INTERVAL_SECONDS - loop.time())

    async def _round(self) -> None:
        for topic in self.topics:
            try:
                self._publish(topic, await self._compose(topic))
            except (AnalyticsError, BusError) as error:
                _log.warning("no snapshot of %s: %s", topic or "the overview", error)
            except Exception:
                # Those who watch keep what they have, and the next round may fare better.
                _log.exception("no snapshot of %s", topic or "the overview")

    def _publish(self, topic: Topic, payload: bytes) -> None:
        self._number += 1
        frame = Frame(self._number, payload)
        for watcher in self._watchers.get(topic, ()):
            self._newest[topic] = frame
            watcher.offer(frame)

    async def _pause(self, seconds: float) -> None:
        """Until the next round, or until someone watches what nobody watched."""
        deadline = asyncio.get_running_loop().time() + seconds
        before = self.topics
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self.topics <= before:
                    self._wanted.clear()
                    await self._wanted.wait()
        if self._watchers:
            self._wanted.set()

    def _forget(self, topic: Topic, watcher: Watcher) -> None:
        watchers = self._watchers[topic]
        watchers.discard(watcher)
        if not watchers:
            del self._watchers[topic]
            self._newest.pop(topic, None)
        if not self._watchers:
            self._wanted.clear()
