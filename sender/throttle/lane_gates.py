"""The gates that one lane's mails pass: its campaign's, its own, its pool's. All must be open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from events.schemas import Campaign
from sender import admission
from sender.throttle.connections import LEASE_SECONDS
from sender.throttle.gate import Gate
from sender.throttle.server_clock import ServerClock
from sender.throttle.tokens import Taken

_SOON_SECONDS: Final = 0.05
"""A gate that opens later than this is not to keep tokens of the others from being spent elsewhere."""
_PATIENCE_SECONDS: Final = 5.0
"""Claimed mails wait for fresh tokens for so long; then they are put off as not tried."""
_LOOK_SECONDS: Final = 0.01
HELD_SECONDS: Final = 10.0
"""A slow lane's sender holds no more mails than may go in this time; others may hold and send the rest."""


class Limited(Protocol):
    """A lane, as far as its limits are concerned."""

    campaign: Campaign
    waiting: deque[Any]
    changed: asyncio.Event
    """Set when there may be reason to fetch again."""

    @property
    def is_shut(self) -> bool: ...


class LaneGates:
    """`lane.gates`, where anything limits the lane."""

    def __init__(self, lane: Limited, gates: Sequence[Gate], clock: ServerClock, notify: Callable[[], None]) -> None:
        """Gates that are scarcer, for fewer mails, come first."""
        self.gates = tuple(gates)
        self._lane = lane
        self._clock = clock
        self.notify = notify
        self._claimed = 0
        """Mails that wait for fresh tokens, claimed already."""
        for gate in gates:
            gate.attached.add(self)

    def detach(self) -> None:
        for gate in self.gates:
            gate.attached.discard(self)

    # for the gates

    def demand(self, gate: Gate) -> int:
        """Mails that could go if this gate were open.

        Tokens of a pool are for all of its lanes, those of a lane for nobody else: so the narrower limit waits for the wider one.
        """
        lane = self._lane
        if not (lane.waiting or self._claimed) or (now := self._clock.now()) is None:
            return 0
        may_go = not lane.is_shut and isinstance(admission.decide(lane.campaign, now), admission.Send)
        mails = self._claimed + (len(lane.waiting) if may_go else 0)
        at = self.gates.index(gate)
        soon = all(other.shut_for(now) <= _SOON_SECONDS for other in self.gates[:at])
        return mails if soon and all(other.has_tokens(now) for other in self.gates[at + 1 :]) else 0

    def could_use_a_connection(self) -> bool:
        """Whether mails could go within a lease's time. Tokens that are missing at this moment do not count: they come and go
        within milliseconds, and are not asked for before there is a connection."""
        lane, now = self._lane, self._clock.now()
        if not (lane.waiting or self._claimed) or now is None or self.opens_in() > LEASE_SECONDS:
            return False
        may_go = not lane.is_shut and isinstance(admission.decide(lane.campaign, now), admission.Send)
        return bool(self._claimed) or may_go

    def opens_sooner(self) -> None:
        """Whoever fetches for the lane sleeps until it opens."""
        self._lane.changed.set()

    # for the sessions

    def is_open(self) -> bool:
        """Whether mails may go now. Those gates that are not are asked for tokens."""
        now = self._clock.now()
        if now is None:
            return False
        opened = True
        for gate in self.gates:
            if gate.room(now) < 1:
                opened = False
                gate.ask()
                if gate.shut_for(now) > _SOON_SECONDS:
                    break
        return opened

    def presses(self) -> bool:
        """Whether it has tokens that only its own mails can use, and that soon lapse; and may never take more of its pool than an
        equal part, so that nobody comes off badly where it goes first."""
        now, pool = self._clock.now(), self.gates[-1]
        equal = pool.equal_rate
        if now is None or equal is None:
            return False
        own = [gate for gate in self.gates[:-1] if gate.rate is not None and gate.rate <= equal]
        return any(gate.tokens_ready(now) for gate in own)

    def take(self, number: int) -> Permit | None:
        """Up to `number` mails may go in a turn of the lane; None: none may. Close it after use."""
        now = self._clock.now()
        if now is None:
            return None
        number = min(number, *(gate.equal_part(now) for gate in self.gates))
        if number < 1:
            return None
        return Permit(self, number, now)

    # for fetching

    def opens_in(self) -> float:
        """So many seconds nothing can go."""
        now = self._clock.now()
        return 0.0 if now is None else max(gate.shut_for(now) for gate in self.gates)

    def most_held(self, usual: int) -> int:
        """Mails that a sender need hold at most."""
        if self.opens_in() > HELD_SECONDS:
            return 0
        rates = [gate.rate for gate in self.gates if gate.rate is not None]
        return min(usual, max(1, int(min(rates) * HELD_SECONDS))) if rates else usual

    async def fresh(self, number: int) -> list[Taken]:
        """Tokens for up to `number` claimed mails, from each gate; none where there are none in time."""
        self._claimed += number
        try:
            return await self._fresh(number)
        finally:
            self._claimed -= number

    async def _fresh(self, number: int) -> list[Taken]:
        for _ in range(int(_PATIENCE_SECONDS / _LOOK_SECONDS)):
            now = self._clock.now()
            if now is not None:
                ready = min(number, *(gate.tokens_ready(now) for gate in self.gates))
                if ready:
                    return [gate.take(ready, now) for gate in self.gates]
            for gate in self.gates:
                gate.ask()
            await asyncio.sleep(_LOOK_SECONDS)
        return []

    def now(self) -> float:
        return self._clock.now() or 0.0


class Permit:
    """The right to hand over some mails, soon."""

    def __init__(self, gates: LaneGates, number: int, now: float) -> None:
        self.number = number
        self._gates = gates
        self._taken = [gate.take(number, now) for gate in gates.gates]

    async def spend(self, number: int) -> int:
        """How many of so many mails may be handed over at once; others are asked for where these tokens are too old by now."""
        now = self._gates.now()
        usable = min(self.number, number)
        if usable and all(taken.good_until() >= now for taken in self._taken):
            self._taken = [Taken(taken.without_first(usable)) for taken in self._taken]
            self.number -= usable
            return usable
        self._put_back()
        fresh = await self._gates.fresh(number)
        return min((taken.number for taken in fresh if taken.grants), default=number if fresh else 0)

    def close(self) -> None:
        self._put_back()

    def _put_back(self) -> None:
        for gate, taken in zip(self._gates.gates, self._taken, strict=True):
            gate.put_back(taken.grants)
        self.number, self._taken = 0, [Taken([]) for _ in self._taken]
