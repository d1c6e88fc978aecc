"""One limit at work in this process: of a pool, a lane or a campaign. Holds the tokens that it has reserved, and gets more.

Whoever finds too few asks, and goes on with other lanes; the gate tells when there are more. What is reserved follows what was
spent: where tokens lapsed, because this process is slower than its part, the next reservation is as small as what was spent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import ceil
from typing import Final, Protocol

from events.errors import BusError
from events.metrics import THROTTLE_SHUT, THROTTLE_TOKENS, THROTTLE_WAITED_SECONDS
from sender.throttle import reservation
from sender.throttle.limits import Effective, Limits, effective
from sender.throttle.reservation import CHUNK_SECONDS, UNRATED_CHUNK, Grant, Reservation, Wait
from sender.throttle.shared import Shared
from sender.throttle.slots import Slots
from sender.throttle.state import State
from sender.throttle.tokens import Taken, Tokens

_log = logging.getLogger(__name__)

_GROWTH: Final = 1.1
"""The next reservation is so much larger as long as nothing lapses."""
_LONGEST_SLEEP_SECONDS: Final = 1.0
"""A gate that is shut for longer looks again after this: limits may have changed."""
_SPREAD_SECONDS: Final = 0.02
"""Senders that wait for the same moment ask a little apart, so that fewer of them ask in vain."""
_SOONEST_SECONDS: Final = 0.001
_MANY: Final = 1_000_000
_NO_WAIT: Final = Wait(0.0, "")
_LASTING: Final = frozenset({"daily", "paused"})
"""Why a gate may be shut for longer than until the next tokens."""


class Attached(Protocol):
    """A lane, as far as its gates know it."""

    def demand(self, gate: Gate) -> int:
        """Mails that could go if this gate were open."""
        ...

    def could_use_a_connection(self) -> bool:
        """Whether mails could go within a lease's time."""
        ...

    @property
    def notify(self) -> Callable[[], None]:
        """Wakes a session for it, and others of its pool."""
        ...


class Gate:
    def __init__(self, key: str, limits: Limits, shared: Shared, slots: Slots | None = None) -> None:
        self.key = key
        self.limits = limits
        self.attached: set[Attached] = set()
        self.slots = slots
        self._shared = shared
        self._tokens = Tokens()
        self._holds: Effective | None = None
        """None: not known yet."""
        self._wait = _NO_WAIT
        """Why nothing more could be reserved the last time, and until when."""
        self._size = 1.0
        self._sharers = 1
        """Lanes that have mails for it."""
        self._spent = 0
        self._asked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._run(), name=f"throttle {key}")

    # for lanes

    def room(self, now: float) -> int:
        """How many mails may go now."""
        return self.tokens_ready(now) if self.slots is None or self.slots.free(now) else 0

    def tokens_ready(self, now: float) -> int:
        """The same for who has a connection already."""
        if self._holds is None or self._holds.not_before > now:
            return 0
        return self._tokens.ready(now) if self.counts else _MANY

    def has_tokens(self, now: float) -> bool:
        """Now or soon, where mails need any."""
        return not self.counts or self._tokens.left(now) > 0

    def shut_for(self, now: float) -> float:
        """So many seconds nothing can be had; 0 where it is open, or may be as soon as somebody asks."""
        if self._holds is None or self._tokens.left(now):
            return 0.0
        return max(self._wait.until, self._holds.not_before, now) - now

    @property
    def counts(self) -> bool:
        """Whether mails need tokens of it."""
        return self._holds is not None and (self._holds.rate is not None or self._holds.daily is not None)

    @property
    def rate(self) -> float | None:
        return None if self._holds is None else self._holds.rate

    @property
    def equal_rate(self) -> float | None:
        """Of each lane that has mails for it."""
        return None if self.rate is None else self.rate / self._sharers

    def demand(self) -> int:
        """Mails that could go if this gate were open."""
        wanted = [mails for one in self.attached if (mails := one.demand(self))]
        self._sharers = max(1, len(wanted))
        return sum(wanted)

    def could_use_a_connection(self) -> bool:
        """Whether any lane's mails could go within a lease's time."""
        return any(one.could_use_a_connection() for one in self.attached)

    def equal_part(self, now: float) -> int:
        """What a lane may take at once, so that every lane gets something while the tokens of its other limits are good."""
        return ceil(self.room(now) / self._sharers)

    def ask(self) -> None:
        """Somebody has mails and not enough tokens."""
        self._asked.set()
        if self.slots is not None:
            self.slots.ask()

    def take(self, number: int, now: float) -> Taken:
        taken = Taken(self._tokens.take(number, now) if self.counts else [])
        self._spent += taken.number
        self._asked.set()
        return taken

    def put_back(self, grants: list[Grant]) -> None:
        self._spent -= sum(grant.number for grant in grants)
        self._tokens.put_back(grants)

    # limits

    def look(self) -> bool:
        """At the shared state, which may have changed; says whether anything is limited at all."""
        now = self._shared.clock.now()
        if now is None:
            return True
        self._holds = effective(self.limits, self._shared.keeper.known(self.key), now)
        if self._holds.not_before:
            self._tokens.drop()
            self._shut(Wait(self._holds.not_before, "paused"))
            self._tell()
        elif self._wait.why == "paused":
            self._shut(_NO_WAIT)
            self._tell()
            self._asked.set()
        if self.slots is not None:
            self.slots.look(self._holds.connections)
        return not self._holds.is_none

    def close(self) -> None:
        self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self.slots is not None:
            self.slots.close()
        self._shut(_NO_WAIT)

    # getting more

    async def _run(self) -> None:
        patience = self._shared.patience
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._refill()
                patience.succeeded()
            except Exception as error:
                if not isinstance(error, BusError):
                    _log.exception("reserving for %s failed", self.key)
                await patience.wait(error)
                self._asked.set()

    async def _refill(self) -> None:
        """Reserve until enough is in hand, or nobody wants any."""
        while self.look() and (now := self._shared.clock.now()) is not None:
            if not self.counts or self._has_enough(now) or not (demand := self.demand()):
                break
            if self._wait.until > now:
                await self._sleep(now)
            else:
                await self._reserve(min(demand, self._next_size()), now)

    def _has_enough(self, now: float) -> bool:
        return self._tokens.left(now) > self._size / 2

    def _next_size(self) -> int:
        assert self._holds is not None, "looked at just before"
        rate = self._holds.rate
        most = UNRATED_CHUNK if rate is None else max(1.0, rate * CHUNK_SECONDS)
        grown = min(most, max(self._size * _GROWTH, self._size + 1))
        self._size = max(1.0, float(self._spent)) if self._tokens.lapsed else grown
        return int(self._size)

    async def _reserve(self, wanted: int, now: float) -> None:
        lapsed, spent = self._tokens.take_lapsed(), self._spent
        self._spent = 0

        def decide(state: State) -> tuple[State, Reservation]:
            for day, number in lapsed.items():
                state = reservation.give_back(state, number, day)
            return reservation.reserve(state, effective(self.limits, state, now), wanted, now, self._shared.sender)

        answer = await self._shared.keeper.decide(self.key, decide)
        THROTTLE_TOKENS.labels(self.key, "lapsed").inc(lapsed.total())
        THROTTLE_TOKENS.labels(self.key, "spent").inc(max(0, spent))
        if isinstance(answer, Grant):
            self._shut(_NO_WAIT)
            self._tokens.add(answer)
            self._size = min(self._size, float(answer.number))
            self._tell()
        else:
            self._shut(answer)

    async def _sleep(self, now: float) -> None:
        seconds = min(self._wait.until - now, _LONGEST_SLEEP_SECONDS) + self._shared.random() * _SPREAD_SECONDS
        waits = not self._tokens.left(now)
        await asyncio.sleep(seconds)
        if waits:
            THROTTLE_WAITED_SECONDS.labels(self.key, self._wait.why).inc(seconds)

    def _tell(self) -> None:
        """Wake sessions for what is ready; and again when more is, or a pause is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._shared.clock.now()
        if now is None or self._holds is None:
            return
        if self.room(now):
            for notify in {one.notify for one in self.attached}:
                notify()
        paused = self._holds.not_before > now
        at = self._holds.not_before if paused else self._tokens.next_ready(now)
        if at is not None:
            wait = min(max(_SOONEST_SECONDS, at - now), _LONGEST_SLEEP_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(wait, self._tell)

    def _shut(self, wait: Wait) -> None:
        if self._wait.why in _LASTING and wait.why != self._wait.why:
            THROTTLE_SHUT.labels(self.key, self._wait.why).set(0)
        if wait.why in _LASTING:
            THROTTLE_SHUT.labels(self.key, wait.why).set(1)
        self._wait = wait
