"""How many mails of a pool may be claimed and not yet stated: what a dying process leaves in doubt is at most this."""

from __future__ import annotations

import asyncio


class Budget:
    def __init__(self, size: int) -> None:
        self.free = size
        self._given = asyncio.Event()

    async def take(self, number: int) -> None:
        """Returns once `number` are free, and takes them."""
        while self.free < number:
            self._given.clear()
            await self._given.wait()
        self.free -= number

    def give(self, number: int) -> None:
        self.free += number
        self._given.set()
