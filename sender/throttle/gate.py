"""One limit at work in this process: of a pool, a lane or a campaign. Holds the tokens that it has reserved, and gets more.

Whoever finds too few asks, and goes on with other lanes; the gate tells when there are more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from math import ceil
from typing import Final

from events.errors import BusError
from events.metrics import THROTTLE_SHUT, THROTTLE_TOKENS, THROTTLE_WAITED_SECONDS
from sender.throttle import reservation
from sender.throttle.attached import Attached
from sender.throttle.limits import Effective, Limits, effective
from sender.throttle.reservation import CHUNK_SECONDS, UNRATED_CHUNK, Grant, Reservation, Wait
from sender.throttle.shared import Shared
from sender.throttle.slots import Slots
from sender.throttle.state import State
from sender.throttle.tokens import Taken, Tokens

_log = logging.getLogger(__name__)

_LONGEST_SLEEP_SECONDS: Final = 1.0
"""A gate that is shut for longer looks again after this: limits may have changed."""
_SPREAD_SECONDS: Final = 0.02
"""Senders that wait for the same moment ask a little apart, so that fewer of them ask in vain."""
_SOONEST_SECONDS: Final = 0.001
_MANY: Final = 1_000_000
_NO_WAIT: Final = Wait(0.0, "")
_LASTING: Final = frozenset({"daily", "paused"})
"""Why a gate may be shut for longer than until the next tokens."""


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
        self._sharers = 1
        """Lanes that have mails for it."""
        self._asked = asyncio.Event()
        self._sooner = asyncio.Event()
        """What it waits for may be over."""
        self._timer: asyncio.TimerHandle | None = None
        self._reserving = False
        """A reservation is on its way."""
        self._closed = False
        self.task = asyncio.create_task(self._run(), name=f"throttle {key}")

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
        """What a lane that has a connection may take at once, so that every lane gets something while the tokens of its other
        limits are good."""
        return ceil(self.tokens_ready(now) / self._sharers)

    def ask(self) -> None:
        """Somebody has mails and not enough tokens, or may have."""
        self._asked.set()
        if self.slots is not None:
            self.slots.ask()

    def take(self, number: int, now: float) -> Taken:
        taken = Taken(self._tokens.take(number, now) if self.counts else [])
        self._asked.set()
        return taken

    def put_back(self, grants: list[Grant]) -> None:
        self._tokens.put_back(grants)
        if self._closed:
            self._give_back_all()

    # limits

    def look(self) -> bool:
        """At the shared state, which may have changed; says whether anything is limited at all."""
        now = self._shared.clock.now()
        if now is None:
            return True
        state = self._shared.keeper.known(self.key)
        self._holds = effective(self.limits, state, now)
        self._reconsider(reservation.shut(state, self._holds, now) or _NO_WAIT, now)
        if self.slots is not None:
            self.slots.look(self._holds.connections)
        return not self._holds.is_none

    def _reconsider(self, wait: Wait, now: float) -> None:
        """A pause may have begun; and what lasts may be over sooner than it seemed, as a pause was lifted, a limit raised, or
        tokens of the day were given back."""
        lasts = self._wait.why in _LASTING or self._wait.until - now > _LONGEST_SLEEP_SECONDS
        sooner = lasts and wait.until < self._wait.until
        if wait.why == "paused":
            self._tokens.drop()
        if wait.why == "paused" or sooner:
            self._shut(wait)
            self._tell()
        if sooner:
            self._sooner.set()
            self._asked.set()
            for one in self.attached:
                one.opens_sooner()

    def close(self) -> None:
        """What it holds is given back, and what turns hold of it when they put it back. A reservation that is on its way comes to
        its end, and is given back then; until that `task` is not done."""
        self._closed = True
        if not self._reserving:
            self.task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self.slots is not None:
            self.slots.ask()
        self._give_back_all()
        self._shut(_NO_WAIT)

    # getting more

    async def _run(self) -> None:
        patience = self._shared.patience
        while not self._closed:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._refill()
                patience.succeeded()
            except Exception as error:
                if not isinstance(error, BusError):
                    _log.exception("reserving for %s failed", self.key)
                if not self._closed:
                    await patience.wait(error)
                    self._asked.set()

    async def _refill(self) -> None:
        """Reserve until enough is in hand, or nobody wants any."""
        while not self._closed and self.look() and (now := self._shared.clock.now()) is not None:
            if not self.counts or self._tokens.suffice(now):
                break
            if not (demand := self.demand()):
                self._give_back()
                break
            if self._wait.until > now:
                if self._wait.why in _LASTING:
                    self._give_back()
                await self._sleep(now)
            else:
                most = UNRATED_CHUNK if self.rate is None else max(1.0, self.rate * CHUNK_SECONDS)
                await self._reserve(min(demand, self._tokens.next_size(most)), now)

    async def _reserve(self, wanted: int, now: float) -> None:
        lapsed = self._account()

        def decide(state: State) -> tuple[State, Reservation]:
            state = reservation.give_back_all(state, lapsed)
            return reservation.reserve(state, effective(self.limits, state, now), wanted, now, self._shared.sender)

        self._reserving = True
        try:
            answer = await self._shared.keeper.decide(self.key, decide)
        finally:
            self._reserving = False
        if isinstance(answer, Grant):
            self._tokens.add(answer)
        if self._closed:
            self._give_back_all()
        elif isinstance(answer, Grant):
            self._shut(_NO_WAIT)
            self._tell()
        else:
            self._shut(answer)

    def _account(self) -> Counter[int]:
        """Tells the metrics; returns what lapsed."""
        spent, lapsed = self._tokens.count()
        THROTTLE_TOKENS.labels(self.key, "lapsed").inc(lapsed.total())
        THROTTLE_TOKENS.labels(self.key, "spent").inc(spent)
        return lapsed

    def _give_back(self) -> None:
        """What lapsed, where a day's mails are counted."""
        if self._tokens.lapsed and self._holds is not None and self._holds.daily is not None:
            self._shared.returns.add(self.key, self._account())

    def _give_back_all(self) -> None:
        self._tokens.drop()
        self._give_back()

    async def _sleep(self, now: float) -> None:
        seconds = min(self._wait.until - now, _LONGEST_SLEEP_SECONDS) + self._shared.random() * _SPREAD_SECONDS
        waits, why = not self._tokens.left(now), self._wait.why
        self._sooner.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._sooner.wait()
        if waits:
            THROTTLE_WAITED_SECONDS.labels(self.key, why).inc(seconds)

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
