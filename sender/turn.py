"""A session's work for a lane: where it happens, and what it has in its hands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from events import breaker
from sender.budget import Budget
from sender.drivers.base import Driver, Outbound, Pool
from sender.lanes import Held, Lane, Lanes
from sender.patience import Patience
from sender.settings import Relay

Try: TypeAlias = tuple[Held, Outbound]
"""A mail on its way out."""


class Line(NamedTuple):
    """A pool at work: its sessions, and the lanes that they serve."""

    name: str
    sessions: Pool
    lanes: Lanes
    relay: Relay
    budget: Budget
    connecting: Patience


class Turn:
    """A session's work for a lane, and the mails that it has in its hands."""

    def __init__(self, line: Line, lane: Lane, reserved: int) -> None:
        self.line = line
        self.lane = lane
        self.moves = lane.moves
        self.key = breaker.lane_key(line.name, lane.provider)
        """Of what senders share about it. The lane may go through another pool by the time that its outcomes are known."""
        self.held: list[Held] = []
        self.reserved = reserved
        """Taken from the budget and not yet tied to records."""
        self.grants = 0
        """Mails of a canary among them that were not tried yet."""
        self.permit = None if lane.gates is None else lane.gates.take(reserved)
        """What limits let pass of the lane, where anything limits it."""

    def room(self, driver: Driver) -> int:
        """How many mails may be taken."""
        if self.permit is None:
            return 0 if self.lane.gates else min(driver.room, self.reserved)
        return min(driver.room, self.reserved, self.permit.number)

    async def may_go(self, tries: int) -> int:
        """How many of so many mails may be handed over now; waits for the limits where it took long to get so far."""
        return tries if self.permit is None else await self.permit.spend(tries)

    def end(self) -> None:
        if self.permit is not None:
            self.permit.close()


@contextmanager
def letting_go(lane: Lane, held: Sequence[Held]) -> Iterator[None]:
    """Mails whose turn fails are let go, so that nobody extends their holds: they come again after the ack-wait."""
    try:
        yield
    except BaseException:
        lane.forget(held)
        raise
