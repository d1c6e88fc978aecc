"""The batches that wait for a producer, by class: which one is next, and whether an urgent one waits.

Each class has a consumer, and a request of ours waits at every one of them whose batches we would take now: at all while there is
nothing to do, at that of the urgent ones while we work on another. So an urgent batch reaches exactly one producer, at once.
Higher classes go first, but every `LOWER_EVERY`th batch is of the lowest class that waits, so that nobody waits for ever.
What was given to us and is not wanted any more goes back at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from events import metrics, streams, subjects
from events.bus import Bus, Consumer, ConsumerState, Delivery
from events.errors import RetryLater
from events.patience import sleep
from events.schemas import PRIORITIES, Priority

T = TypeVar("T")
_log = logging.getLogger(__name__)

FETCH_SECONDS: Final = 1.0
LOWER_EVERY: Final = 20
_INSISTS_SECONDS: Final = 5.0
"""On an answer to what is said about deliveries; below the time after which an answer is given up."""
_SAY_AGAIN_SECONDS: Final = 0.5


class Insist(Protocol):
    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T: ...


class Given(NamedTuple):
    delivery: Delivery
    priority: Priority
    out_of_turn: bool = False
    """A higher class waits and was passed over for once: this batch is not left for it."""


class _Line:
    """One class: its consumer, the request that waits there, and what came of it."""

    def __init__(self, priority: Priority, consumer: Consumer) -> None:
        self.priority = priority
        self.consumer = consumer
        self.wanted = False
        self.asking: asyncio.Task[None] | None = None
        self.hand: Delivery | None = None


class Queue:
    """One producer's way to the batches. Everything it was given is held, and extended, until it is answered."""

    def __init__(
        self,
        bus: Bus,
        consumers: Mapping[Priority, Consumer],
        insist: Insist,
        look: Insist,
        stop: asyncio.Event,
        *,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        """`insist` asks for batches, `look` how many there are: where NATS is cut off nothing comes and only the other one fails,
        so that together they would say again and again that all is well."""
        self._bus = bus
        self._lines = {priority: _Line(priority, consumers[priority]) for priority in PRIORITIES}
        self._insist = insist
        self._look = look
        self._stop = stop
        self._fetch_seconds = fetch_seconds
        self._held: dict[int, Delivery] = {}
        self._given = 0

    @property
    def urgent_waits(self) -> bool:
        """An urgent batch was given to us while we work on another one."""
        return self._lines["urgent"].hand is not None

    async def next(self) -> Given | None:
        """The batch to work on now; None: there was none for a second, or it is time to stop. Raises what asking raises."""
        for line in self._lines.values():
            self._ask(line)
        if not any(line.hand for line in self._lines.values()):
            await asyncio.wait(self._asking(), timeout=self._fetch_seconds, return_when=asyncio.FIRST_COMPLETED)
        for line in self._lines.values():
            _raise_error(line)
        given = await self._choose()
        if given is not None:
            await self._want_only_what_is_higher(given)
        return given

    def _ask(self, line: _Line) -> None:
        line.wanted = True
        if line.hand is None and (line.asking is None or line.asking.done()):
            line.asking = asyncio.create_task(self._ask_until_given(line))

    async def _ask_until_given(self, line: _Line) -> None:
        """Until something comes, or is not wanted any more; what comes too late goes back."""
        while self._is_wanted(line):
            for delivery in await self._insist(lambda: line.consumer.fetch(1, self._fetch_seconds)):
                self._held[delivery.sequence] = delivery
                if self._is_wanted(line):
                    line.hand = delivery
                    return
                await self.release([delivery])

    def _is_wanted(self, line: _Line) -> bool:
        return line.wanted and not self._stop.is_set()

    async def _choose(self) -> Given | None:
        if not any(line.hand for line in self._lines.values()):
            return None
        for_once = (self._given + 1) % LOWER_EVERY == 0
        for priority in reversed(PRIORITIES) if for_once else PRIORITIES:
            delivery = await self._take(self._lines[priority])
            if delivery is not None:
                self._given += 1
                return Given(delivery, priority, out_of_turn=for_once and await self._is_passed_over(priority))
        return None

    async def _is_passed_over(self, by: Priority) -> bool:
        higher = [self._lines[priority] for priority in PRIORITIES[: PRIORITIES.index(by)]]
        return any([line.hand is not None or await self._waits(line) for line in higher])

    async def _waits(self, line: _Line) -> bool:
        state = await self._state(line.priority)
        return state is not None and state.waiting > 0

    async def _take(self, line: _Line) -> Delivery | None:
        """What we were given of a class; where something waits there that is on its way to us, in a moment."""
        if line.hand is None and line.asking is not None and not line.asking.done() and await self._waits(line):
            await asyncio.wait([line.asking], timeout=self._fetch_seconds)
        delivery, line.hand = line.hand, None
        return delivery

    async def _want_only_what_is_higher(self, given: Given) -> None:
        """From here on only an urgent batch is of use to us, unless this is one."""
        for line in self._lines.values():
            line.wanted = line.priority == "urgent" and given.priority != "urgent"
            if not line.wanted and line.hand is not None:
                delivery, line.hand = line.hand, None
                await self.release([delivery])
        if self._lines["urgent"].wanted:
            self._ask(self._lines["urgent"])

    async def ack(self, delivery: Delivery) -> bool:
        """It is finished; whether the server took note."""
        return await self._answer(lambda consumer, deliveries: consumer.ack(deliveries), [delivery])

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Somebody else may have them, at once."""
        await self._answer(lambda consumer, given: consumer.release(given), deliveries)

    def forget(self, delivery: Delivery) -> None:
        """Somebody else has it."""
        self._held.pop(delivery.sequence, None)

    async def _answer(
        self, answer: Callable[[Consumer, list[Delivery]], Awaitable[None]], deliveries: Sequence[Delivery]
    ) -> bool:
        """Say what becomes of deliveries, and let go of them; whether the server took note.

        A server that was killed may have forgotten that it delivered them, and then never takes note. They come again by
        themselves, and what is finished is found to be.
        """
        loop = asyncio.get_running_loop()
        give_up_at, taken = loop.time() + _INSISTS_SECONDS, False
        while not taken:
            try:
                for consumer, given in self._by_consumer(deliveries):
                    await answer(consumer, given)
                taken = True
            except RetryLater as error:
                _log.warning("the bus takes no answer: %s", error)
                if self._stop.is_set() or loop.time() > give_up_at:
                    break
                await sleep(_SAY_AGAIN_SECONDS, self._stop)
        for delivery in deliveries:
            self.forget(delivery)
        return taken

    def _by_consumer(self, deliveries: Iterable[Delivery]) -> list[tuple[Consumer, list[Delivery]]]:
        found: dict[Priority, list[Delivery]] = {}
        for delivery in deliveries:
            found.setdefault(subjects.class_of_batch(delivery.subject), []).append(delivery)
        return [(self._lines[priority].consumer, given) for priority, given in found.items()]

    async def keep_what_is_held(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._bus.timing.extend_after_seconds)
            try:
                for consumer, given in self._by_consumer(self._held.values()):
                    await consumer.extend(given)
            except RetryLater as error:
                _log.debug("extending failed; what is held may go to another producer: %s", error)

    async def measure(self) -> None:
        """Show how many batches no producer has finished."""
        states = [await self._state(priority) for priority in PRIORITIES]
        metrics.BATCHES_WAITING.set(sum(state.waiting + state.in_flight for state in states if state is not None))

    async def _state(self, priority: Priority) -> ConsumerState | None:
        spec = streams.PRODUCERS[priority]
        return await self._look(lambda: self._bus.consumer_state(spec.stream, spec.name))

    async def stop_asking(self) -> None:
        """Returns when what was asked for has come, within a second."""
        for line in self._lines.values():
            line.wanted = False
        if asking := self._asking():
            await asyncio.wait(asking)

    def abandon(self) -> None:
        """For somebody who has no time for `stop_asking`."""
        for task in self._asking():
            task.cancel()

    def _asking(self) -> list[asyncio.Task[None]]:
        return [line.asking for line in self._lines.values() if line.asking is not None]

    async def hand_back(self) -> None:
        """Give up what is held, so that other producers need not wait for the ack-wait."""
        for line in self._lines.values():
            await line.consumer.close()
        try:
            for consumer, given in self._by_consumer(self._held.values()):
                await consumer.release(given)
        except RetryLater as error:
            _log.debug("what is held comes again after the ack-wait: %s", error)


def _raise_error(line: _Line) -> None:
    if line.asking is not None and line.asking.done() and not line.asking.cancelled():
        line.asking.result()
