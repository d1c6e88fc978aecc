"""What a fault is: what it does, when it strikes, and how much it may leave in doubt."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from events.schemas import DeliveryPolicy
from jetpost.simulator.settings import Faults as SmtpFaults

if TYPE_CHECKING:
    from benchmarks.chaos.stage import Stage

Yardstick = Literal["planned", "queued", "taken", "stated"]
"""By what the moment is chosen: batches planned, mails queued, mails that the simulator took, outcomes stated."""

Doubts = Literal["none", "wire", "struck"]
"""What may be left in doubt: nothing; what is on the wire of a sender that is struck; one mail for each time the relay
misbehaves."""


Needs = Literal["server", "cluster", "hosts"]
"""On what it runs: one nats-server; three with three copies of everything; the same, each on a host with sender and producer."""


class Fault(NamedTuple):
    name: str
    what: str
    """In the words of the published table."""
    strike: Callable[[Strike], Awaitable[None]] | None = None
    by: Yardstick = "taken"
    doubts: Doubts = "none"
    smtp: SmtpFaults | None = None
    """What the simulator does wrong all the time."""
    policy: DeliveryPolicy = "at_most_once"
    needs: Needs = "server"
    prepare: Callable[[Strike], Awaitable[None]] | None = None
    """What is arranged before the campaign is sent."""
    again: bool = False
    """The launch is what dies; it is started again."""


class Strike:
    """One blow: what a fault may hit, and chance."""

    launch: asyncio.subprocess.Process
    """`jetpost send`."""

    def __init__(self, stage: Stage, chance: random.Random, campaign: str) -> None:
        self.stage = stage
        self.chance = chance
        self.campaign = campaign
        self.notes: list[str] = []

    def choose(self, kind: str) -> str:
        """A process of a kind, such as `sender`."""
        return self.chance.choice(self.names(kind))

    def names(self, kind: str) -> Sequence[str]:
        return sorted(name for name in self.stage.processes() if name.partition("-")[0] == kind)

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process by its present id; one that an earlier blow killed may not be back yet."""
        pid = self.stage.processes()[name]
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            self.notes.append(f"{name} was dead already")
        else:
            self.notes.append(f"{number.name} {name}")
        return pid
