"""How many mails of a pool may be claimed and not yet stated: what a dying process leaves in doubt is at most this."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeAlias

_Waiter: TypeAlias = tuple[int, "asyncio.Future[None]"]


class Budget:
    """Served in the order of asking; nobody is woken for less than they asked for."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._waiting: deque[_Waiter] = deque()

    async def take(self, number: int) -> None:
        """Returns once `number` are free, and takes them."""
        if self.free >= number and not self._waiting:
            self.free -= number
            return
        waiter: _Waiter = (number, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter[1]
        except asyncio.CancelledError:
            if waiter[1].cancelled():  # nothing was granted; `give` may have come by since and passed over it
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                number = 0  # who comes next may need less
            self.give(number)
            raise

    def give(self, number: int) -> None:
        self.free += number
        while self._waiting and self._waiting[0][0] <= self.free:
            wanted, granted = self._waiting.popleft()
            if not granted.done():
                self.free -= wanted
                granted.set_result(None)
