"""Many callers, one call: what is asked for while a call runs is asked for together in the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sender import stopping

T = TypeVar("T")
R = TypeVar("R")


class Rounds(Generic[T, R]):
    """Runs `call` on the items of everybody who waits, one round at a time, and gives each the answers to their own.

    The first caller starts a round at once, together with whoever asks in the same turn of the event loop. When `call`
    raises, everybody in the round gets the exception.
    """

    def __init__(self, call: Callable[[list[T]], Awaitable[Sequence[R]]]) -> None:
        self._call = call
        self._waiting: list[tuple[Sequence[T], asyncio.Future[Sequence[R]]]] = []
        self._running: asyncio.Task[None] | None = None

    async def do(self, items: Sequence[T]) -> Sequence[R]:
        """The answers to `items`, in their order."""
        answers: asyncio.Future[Sequence[R]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, answers))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answers

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                await self._round(asked)
        finally:
            self._running = None

    async def _round(self, asked: list[tuple[Sequence[T], asyncio.Future[Sequence[R]]]]) -> None:
        try:
            answers = await self._call([item for items, _ in asked for item in items])
        except Exception as error:
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
            return
        except asyncio.CancelledError:
            for _, future in asked:
                future.cancel()
            raise
        start = 0
        for items, future in asked:
            if not future.done():
                future.set_result(answers[start : start + len(items)])
            start += len(items)

    async def close(self) -> None:
        """Stop the round that runs; who still waits is cancelled."""
        if self._running is not None:
            await stopping.cancel([self._running])
        for _, future in self._waiting:
            future.cancel()
        self._waiting = []
