"""The connections of one limit that this process has leased.

They outlive the gate of the limit: sessions may work on when the last lane has moved to another pool, and are still at it when it
comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from events.errors import BusError
from sender.throttle.connections import RENEW_SECONDS, Share, lease
from sender.throttle.shared import Shared

_log = logging.getLogger(__name__)

_SOONEST_SECONDS: Final = 0.1
"""Between two looks."""
_NONE: Final = Share(0, 0.0)


class Slots:
    def __init__(
        self,
        key: str,
        shared: Shared,
        told: Callable[[int | None], None],
        wanted: Callable[[], int],
        busy: Callable[[], int],
    ) -> None:
        """`wanted` says how many connections could be used now, `busy` how many are; `told` is called with how many there may be,
        None: any number."""
        self.limit: int | None = None
        """Of all senders together; None: there is none."""
        self._key = key
        self._shared = shared
        self._told = told
        self._wanted = wanted
        self._busy = busy
        self._share = _NONE
        self._asked = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"connections {key}")

    def free(self, now: float) -> bool:
        """Whether one more may be used."""
        return self.limit is None or (self._busy() < self._share.slots and now < self._share.until)

    def look(self, limit: int | None) -> None:
        """The limit as it is now, and others' leases, may have changed."""
        if self.limit is not None and limit is None:
            self._told(None)
        if self.limit != limit:
            self.limit = limit
            self._asked.set()

    def ask(self) -> None:
        """Somebody could use a connection."""
        if self.limit is not None:
            self._asked.set()

    async def give_back(self) -> None:
        """Others may have at once what nobody here uses. Raises `BusError`."""
        if self._share.slots:
            await self._renew()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS if self._share.slots or self._busy() else None):
                    await self._asked.wait()
            self._asked.clear()
            try:
                await self._renew()
                self._shared.patience.succeeded()
            except Exception as error:
                if not isinstance(error, BusError):
                    _log.exception("leasing connections of %s failed", self._key)
                await self._shared.patience.wait(error)
            await asyncio.sleep(_SOONEST_SECONDS)

    async def _renew(self) -> None:
        now, limit = self._shared.clock.now(), self.limit
        if now is None or limit is None:
            self._share = _NONE
            return
        wanted, busy, me = min(self._wanted(), limit), self._busy(), self._shared.sender
        share = await self._shared.keeper.decide(self._key, lambda state: lease(state, me, wanted, busy, limit, now))
        was_free, before, self._share = self.free(now), self._share, share
        if before is _NONE or share.slots != before.slots or (self.free(now) and not was_free):
            self._told(share.slots)
