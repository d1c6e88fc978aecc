"""Backpressure: what the bus refuses for now is asked for again until it is taken, however long that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from events import patience
from events.errors import describe

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0


class Patience(patience.Patience):
    """A producer's. Once `stop` is set it waits no longer."""

    def __init__(self, step: str, stop: asyncio.Event | None = None, *, told_as: str = "") -> None:
        super().__init__(step, FIRST_PAUSE_SECONDS, longest_seconds=LONGEST_PAUSE_SECONDS, stop=stop, told_as=told_as)


class ToldPatience(Patience):
    """A launch's: somebody looks on, and hears at every try why it waits, and "" when that is over."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__("launch")
        self._tell = tell

    def failed(self, error: BaseException) -> None:
        self._tell(describe(error))

    def works_again(self) -> None:
        self._tell("")
