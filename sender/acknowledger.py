"""Tells the server that mails are done with, in bulk: nothing waits for it, and an acknowledgement of many costs little more
than one of few.

A mail whose outcome is stated and whose acknowledgement does not arrive comes again, is found known, and is acknowledged then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from events.errors import BusError
from sender.lanes import Held, Lane
from sender.patience import Patience

LINGER_SECONDS: Final = 0.05
"""Far below the ack-wait. What is not acknowledged when the process dies comes again for nothing, so not much longer."""

_INSISTS_SECONDS: Final = 5.0
"""Below the time after which an answer is given up: what is not answered once never is, as a killed server forgets its newest
deliveries, and acknowledgements of those. All others wait meanwhile."""


class Acknowledger:
    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waiting: dict[Lane, list[Held]] = {}
        self._work = asyncio.Event()
        self._progress = asyncio.Event()
        self.unfinished = 0
        """Mails that are not acknowledged yet."""

    def put(self, held: Sequence[Held]) -> None:
        for one in held:
            self._waiting.setdefault(one.lane, []).append(one)
        self.unfinished += len(held)
        self._work.set()

    async def drain(self) -> None:
        """Returns when everything is acknowledged."""
        while self.unfinished:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Acknowledge what is put, until cancelled."""
        while True:
            await self._work.wait()
            await asyncio.sleep(LINGER_SECONDS)
            self._work.clear()
            waiting, self._waiting = self._waiting, {}
            await asyncio.gather(*(self._acknowledge(lane, held) for lane, held in waiting.items()))

    async def _acknowledge(self, lane: Lane, held: Sequence[Held]) -> None:
        try:
            await self._insist(lane, held)
        finally:
            lane.forget(held)
            self.unfinished -= len(held)
            self._progress.set()

    async def _insist(self, lane: Lane, held: Sequence[Held]) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _INSISTS_SECONDS
        while True:
            try:
                await lane.consumer.ack([one.delivery for one in held])
            except BusError as error:
                if loop.time() > give_up_at:
                    return
                await self._patience.wait(error)
            else:
                return
