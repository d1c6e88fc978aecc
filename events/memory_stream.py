"""A stream and its consumers in memory: the rules of JetStream that Jetpost relies on, and no I/O. See `memory_bus`.

Nothing here looks at a clock: the moment is passed in, as Unix seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from functools import lru_cache

from events.advisories import MaxDeliveries
from events.bus import ConsumerState, Delivery, Message, Record, Stored, StreamState
from events.streams import ACK_WAIT_SECONDS, DEDUPLICATION_SECONDS, ConsumerSpec, StreamSpec


@lru_cache(maxsize=1_000)
def _tokens(filter_subject: str) -> tuple[str, ...]:
    return tuple(filter_subject.split("."))


def matches(filter_subject: str, subject: str) -> bool:
    """Whether a subject falls under a filter, in which `*` stands for one token and a final `>` for one or more."""
    if filter_subject == subject:
        return True
    wanted, given = _tokens(filter_subject), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in {"*", g} for w, g in zip(wanted, given, strict=True))


class MemoryStream:
    """Messages in the order of their sequence, what waits for its time, and the consumers."""

    def __init__(self, spec: StreamSpec) -> None:
        self.spec = spec
        self.messages: dict[int, Record] = {}
        self.consumers: dict[str, MemoryConsumerState] = {}
        self._last_sequence = 0
        self._ids: dict[str, tuple[int, float]] = {}
        self._schedule: list[tuple[float, int, str]] = []
        self._scheduled: dict[str, int] = {}

    def publish(self, message: Message, now: float) -> Stored:
        """Store a message, unless its id was stored within the deduplication window."""
        self._require_place_for(message)
        known = self._ids.get(message.id)
        if known is not None and now - known[1] < DEDUPLICATION_SECONDS:
            return Stored(known[0], duplicate=True)
        sequence = self._append(message.subject, message.payload, message.id, now, message.due_at)
        if message.id:
            self._ids[message.id] = (sequence, now)
        if message.due_at is not None:
            # A schedule takes the place of an earlier one under the same subject (ADR-51).
            self.messages.pop(self._scheduled.get(message.subject, 0), None)
            self._scheduled[message.subject] = sequence
            heapq.heappush(self._schedule, (message.due_at, sequence, message.target))
        return Stored(sequence, duplicate=False)

    def _require_place_for(self, message: Message) -> None:
        for subject in (message.subject, message.target or message.subject):
            if not any(matches(own, subject) for own in self.spec.subjects):
                raise ValueError(f"{subject} is no subject of stream {self.spec.name}")
        if message.due_at is not None and not (self.spec.schedules and message.target):
            raise ValueError(
                f"a message of {self.spec.name} may have a due time only with a target, where the stream allows it"
            )

    def replace(self, message: Message, sequence: int, now: float) -> int:
        """Store the message if the newest one under its subject lies at `sequence` (0: if there is none); 0: it was not."""
        newest = max((record.sequence for record in self.select(message.subject)), default=0)
        return self.publish(message, now).sequence if newest == sequence else 0

    def delete(self, sequence: int) -> bool:
        return self.messages.pop(sequence, None) is not None

    def _append(self, subject: str, payload: bytes, message_id: str, now: float, due_at: float | None = None) -> int:
        self._last_sequence += 1
        sequence = self._last_sequence
        self.messages[sequence] = Record(payload, subject, sequence, now, message_id, due_at)
        for consumer in self.consumers.values():
            consumer.offer(sequence, subject)
        return sequence

    def settle(self, now: float) -> None:
        """Let happen what is due: scheduled messages move to their targets, old messages go."""
        while self._schedule and self._schedule[0][0] <= now:
            _, sequence, target = heapq.heappop(self._schedule)
            waiting = self.messages.pop(sequence, None)
            if waiting is not None:
                del self._scheduled[waiting.subject]
                self._append(target, waiting.payload, "", now)
        for sequence in list(self._outdated(now)):
            del self.messages[sequence]

    def _outdated(self, now: float) -> Iterator[int]:
        surplus = len(self.messages) - self.spec.max_messages if self.spec.max_messages >= 0 else 0
        for index, record in enumerate(self.messages.values()):
            too_old = 0 < self.spec.max_age_seconds <= now - record.stored_at
            if index >= surplus and not too_old:
                return
            yield record.sequence

    def select(self, filter_subject: str, from_sequence: int = 1) -> list[Record]:
        return [
            record
            for record in self.messages.values()
            if record.sequence >= from_sequence and matches(filter_subject, record.subject)
        ]

    def count_by_subject(self, filter_subject: str) -> dict[str, int]:
        return dict(Counter(record.subject for record in self.select(filter_subject)))

    def purge(self, filter_subject: str, up_to: int | None = None) -> int:
        doomed = [record for record in self.select(filter_subject) if up_to is None or record.sequence <= up_to]
        for record in doomed:
            del self.messages[record.sequence]
        return len(doomed)

    def state(self) -> StreamState:
        return StreamState(
            messages=len(self.messages),
            bytes=sum(len(record.subject) + len(record.payload) for record in self.messages.values()),
            first_sequence=next(iter(self.messages), self._last_sequence + 1),
            last_sequence=self._last_sequence,
        )

    def add_consumer(self, spec: ConsumerSpec) -> None:
        """Create a consumer, which starts with what lies in the stream; or change an existing one, which goes on."""
        existing = self.consumers.get(spec.name)
        if existing is not None:
            existing.spec = spec
            return
        consumer = self.consumers[spec.name] = MemoryConsumerState(spec, self)
        for record in self.messages.values():
            consumer.offer(record.sequence, record.subject)

    def done(self, sequence: int) -> None:
        """A consumer acknowledged the message; in a work queue that deletes it."""
        if self.spec.retention == "workqueue":
            self.messages.pop(sequence, None)


class MemoryConsumerState:
    """What a durable consumer has not delivered yet, and what it delivered and waits to hear of."""

    def __init__(self, spec: ConsumerSpec, stream: MemoryStream) -> None:
        self.spec = spec
        self._stream = stream
        self._fresh: deque[int] = deque()
        self._deadlines: dict[int, float] = {}
        self._deliveries: dict[int, int] = {}
        self.exhausted: list[MaxDeliveries] = []
        """What was delivered as often as is allowed, until the bus has told of it."""

    @property
    def ack_wait_seconds(self) -> float:
        return ACK_WAIT_SECONDS if self.spec.ack_wait_seconds is None else self.spec.ack_wait_seconds

    def offer(self, sequence: int, subject: str) -> None:
        if any(matches(wanted, subject) for wanted in (self.spec.filter_subject, *self.spec.also)):
            self._fresh.append(sequence)

    def take(self, limit: int, now: float) -> list[Delivery]:
        """Up to `limit` messages: first those whose ack-wait ran out, then fresh ones."""
        chosen = self._overdue(now)[:limit]
        room = min(limit - len(chosen), self.spec.max_ack_pending - len(self._deadlines))
        while room > 0 and self._fresh:
            sequence = self._fresh.popleft()
            if sequence in self._stream.messages:
                chosen.append(sequence)
                room -= 1
        return [self._deliver(sequence, now) for sequence in chosen]

    def _overdue(self, now: float) -> list[int]:
        due = [sequence for sequence, deadline in self._deadlines.items() if deadline <= now]
        return [sequence for sequence in due if not self._given_up(sequence)]

    def _given_up(self, sequence: int) -> bool:
        deliveries = self._deliveries[sequence]
        exhausted = 0 < self.spec.max_deliveries <= deliveries
        if exhausted or sequence not in self._stream.messages:
            del self._deadlines[sequence]
            if sequence in self._stream.messages:
                self.exhausted.append(MaxDeliveries(self.spec.stream, self.spec.name, sequence, deliveries))
            return True
        return False

    def _deliver(self, sequence: int, now: float) -> Delivery:
        self._deadlines[sequence] = now + self.ack_wait_seconds
        count = self._deliveries[sequence] = self._deliveries.get(sequence, 0) + 1
        record = self._stream.messages[sequence]
        return Delivery(record.payload, record.subject, sequence, count, f"{self.spec.name}/{sequence}")

    def ack(self, sequence: int) -> None:
        self._deadlines.pop(sequence, None)
        self._deliveries.pop(sequence, None)
        self._stream.done(sequence)

    def set_deadline(self, sequence: int, deadline: float) -> None:
        """When the message comes again if nothing is heard of it."""
        if sequence in self._deadlines:
            self._deadlines[sequence] = deadline

    def state(self) -> ConsumerState:
        alive = self._stream.messages
        return ConsumerState(
            waiting=sum(sequence in alive for sequence in self._fresh),
            in_flight=sum(sequence in alive for sequence in self._deadlines),
        )
