"""Tokens that nobody here will spend, on their way back to the day that they were reserved from.

Only the day gets them back; the moments that they stood for are given away, and come to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from events.errors import BusError
from sender.throttle import reservation
from sender.throttle.state import State

_log = logging.getLogger(__name__)

Change: TypeAlias = Callable[[str, Callable[[State], State]], Awaitable[State]]
"""Applies a transition to the state of a key; raises `BusError`."""


class Returns:
    def __init__(self, change: Change) -> None:
        self._change = change
        self._under_way: set[asyncio.Task[None]] = set()

    def add(self, key: str, tokens: Mapping[int, int]) -> None:
        """Numbers of tokens, by the day that they count for."""
        if not any(tokens.values()):
            return
        task = asyncio.create_task(self._give_back(key, tokens), name=f"give back {key}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def settled(self) -> None:
        """Returns once all are given back, or lost."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _give_back(self, key: str, tokens: Mapping[int, int]) -> None:
        """Where NATS does not answer they stay counted: a change that may have happened is not made again, so that no day has
        more mails than it may."""
        try:
            await self._change(key, lambda state: reservation.give_back_all(state, tokens))
        except BusError as error:
            _log.debug("tokens of %s stay counted: %s", key, error)
        except Exception:
            _log.exception("giving back tokens of %s failed", key)
