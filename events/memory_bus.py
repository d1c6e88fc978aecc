"""The bus in memory: for tests of everything that speaks to a bus, yours too. The twin of `nats_bus.NatsBus`.

    bus = MemoryBus(clock)
    await bus.setup()

Workers of one test share one `MemoryBus`. Time is the clock's: move it, and ack-waits run out and scheduled messages fire.
`bus.unavailable = True` makes every call raise `BusUnavailable`, as if the server were gone; watches wait until it is back.
`bus.storage_limit = 10_000` makes publishing raise `StreamFull` once the streams hold that many bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress

from events import advisories, streams, subjects
from events.bus import Consumer, ConsumerState, Delivery, Entry, Message, Passage, Record, Storage, Stored, StreamState
from events.errors import BusUnavailable, RevisionMismatch, StreamFull, StreamMissing
from events.memory_stream import MemoryConsumerState, MemoryStream
from events.streams import ConsumerSpec, Timing

_CLOCK_CHECK_SECONDS = 0.01
"""A call that waits notices within this (real) time that the clock was moved."""


class MemoryBus:
    """Implements `events.bus.Bus`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.timing = Timing()
        self.interruptions = 0
        self.unavailable = False
        self.storage_limit: int | None = None
        self._streams: dict[str, MemoryStream] = {}
        self._buckets: dict[str, MemoryBucket] = {}
        self._stores: dict[str, MemoryBlobs] = {}
        self._change = asyncio.Event()

    async def setup(self) -> None:
        await self.reach()
        for stream in streams.STREAMS:
            self._streams.setdefault(stream.name, MemoryStream(stream))
        for name in streams.BUCKETS:
            self._buckets.setdefault(name, MemoryBucket(self))
        for name in streams.STORES:
            self._stores.setdefault(name, MemoryBlobs(self))
        for consumer in streams.CONSUMERS:
            await self.create_consumer(consumer)

    async def lacking(self, needed: Collection[str] | None = None) -> list[str]:
        await self.reach()
        wanted: list[tuple[str, str, Collection[str]]] = [
            (stream.name, stream.name, self._streams) for stream in streams.STREAMS
        ]
        wanted += [(streams.stream_of_bucket(name), name, self._buckets) for name in streams.BUCKETS]
        wanted += [(streams.stream_of_store(name), name, self._stores) for name in streams.STORES]
        return [name for known_as, name, held in wanted if name not in held and (needed is None or known_as in needed)]

    async def publish(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        target = await self._stream(stream)
        if self.storage_limit is not None and messages and (await self.storage()).used >= self.storage_limit:
            raise StreamFull("the test made the store full")
        stored = [target.publish(message, self.clock()) for message in messages]
        self.notify()
        return stored

    async def append(self, stream: str, messages: Sequence[Message]) -> None:
        await self.publish(stream, messages)

    async def replace(self, stream: str, messages: Sequence[Message], sequences: Sequence[int]) -> list[int]:
        target = await self._stream(stream)
        now = self.clock()
        stored = [target.replace(message, at, now) for message, at in zip(messages, sequences, strict=True)]
        self.notify()
        return stored

    async def delete(self, stream: str, sequences: Sequence[int]) -> list[bool]:
        target = await self._stream(stream)
        return [target.delete(sequence) for sequence in sequences]

    async def create_consumer(self, spec: ConsumerSpec) -> None:
        (await self._stream(spec.stream)).add_consumer(spec)

    async def delete_consumer(self, stream: str, name: str) -> None:
        (await self._stream(stream)).consumers.pop(name, None)

    async def consumer(self, stream: str, name: str) -> Consumer:
        await self.consumer_of(stream, name)
        return MemoryConsumer(self, stream, name)

    async def consumer_of(self, stream: str, name: str) -> MemoryConsumerState:
        """Raises `StreamMissing` where it does not exist."""
        found = (await self._stream(stream)).consumers.get(name)
        if found is None:
            raise StreamMissing(f"stream {stream} has no consumer {name}")
        return found

    async def consumer_state(self, stream: str, name: str) -> ConsumerState | None:
        found = (await self._stream(stream)).consumers.get(name)
        return None if found is None else found.state()

    async def stream_state(self, stream: str) -> StreamState:
        return (await self._stream(stream)).state()

    async def storage(self) -> Storage:
        await self.reach()
        return Storage(used=sum(stream.state().bytes for stream in self._streams.values()), limit=self.storage_limit)

    async def server_time(self) -> float:
        await self.reach()
        return self.clock()

    async def count_by_subject(self, stream: str, filter_subject: str) -> Mapping[str, int]:
        return (await self._stream(stream)).count_by_subject(filter_subject)

    async def read(
        self, stream: str, filter_subject: str, *, from_sequence: int = 1, follow: bool = False
    ) -> AsyncIterator[Record]:
        following = True
        while following:
            source = await self._stream(stream)
            end = source.state().last_sequence
            for record in source.select(filter_subject, from_sequence):
                yield record
            from_sequence = max(from_sequence, end + 1)
            following = follow
            if following and source.state().last_sequence == end:
                await self.wait_for_change(_CLOCK_CHECK_SECONDS)

    async def read_range(self, stream: str, first: int, last: int) -> list[Passage]:
        source = await self._stream(stream)
        if source.state().last_sequence < last:
            raise BusUnavailable(f"{stream} does not have message {last} yet")
        found = source.select(">", first)
        return [Passage(one.payload, one.subject, one.sequence) for one in found if one.sequence <= last]

    async def purge(self, stream: str, filter_subject: str, *, up_to: int | None = None) -> int:
        return (await self._stream(stream)).purge(filter_subject, up_to)

    async def bucket(self, name: str) -> MemoryBucket:
        await self.reach()
        found = self._buckets.get(name)
        if found is None:
            raise StreamMissing(f"there is no bucket {name}: call setup() first")
        return found

    async def blobs(self, store: str = streams.BLOBS) -> MemoryBlobs:
        await self.reach()
        found = self._stores.get(store)
        if found is None:
            raise StreamMissing(f"there is no object store {store}: call setup() first")
        return found

    async def close(self) -> None:
        """Nothing to let go of: other workers of the test may go on."""

    async def reach(self) -> None:
        """Every call goes through here: it gives way to other tasks and fails while the bus is unavailable."""
        await asyncio.sleep(0)
        if self.unavailable:
            raise BusUnavailable("the test made the bus unavailable")

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._change.set()
        self._change = asyncio.Event()

    async def wait_for_change(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()

    async def _stream(self, name: str) -> MemoryStream:
        await self.reach()
        found = self._streams.get(name)
        if found is None:
            raise StreamMissing(f"there is no stream {name}: call setup() first")
        found.settle(self.clock())
        return found


class MemoryConsumer:
    """Implements `events.bus.Consumer`; all that were opened under one name share what it holds."""

    def __init__(self, bus: MemoryBus, stream: str, name: str) -> None:
        self._bus = bus
        self._stream = stream
        self._name = name

    async def _state(self) -> MemoryConsumerState:
        return await self._bus.consumer_of(self._stream, self._name)

    async def fetch(self, limit: int, max_wait_seconds: float) -> list[Delivery]:
        deadline = time.monotonic() + max_wait_seconds
        while True:
            state = await self._state()
            taken = state.take(limit, self._bus.clock())
            await self._tell_of_exhausted(state)
            remaining = deadline - time.monotonic()
            if taken or remaining <= 0:
                return taken
            await self._bus.wait_for_change(min(remaining, _CLOCK_CHECK_SECONDS))

    async def _tell_of_exhausted(self, state: MemoryConsumerState) -> None:
        exhausted, state.exhausted = state.exhausted, []
        if self._stream == streams.MAIL.name and exhausted:
            subject = subjects.max_deliveries(self._stream, self._name)
            told = [Message(subject, advisories.encode(advisory)) for advisory in exhausted]
            await self._bus.publish(streams.ADVISORIES.name, told)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        state = await self._state()
        for delivery in deliveries:
            state.ack(delivery.sequence)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        state = await self._state()
        for delivery in deliveries:
            state.set_deadline(delivery.sequence, self._bus.clock())
        self._bus.notify()

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        state = await self._state()
        for delivery in deliveries:
            state.set_deadline(delivery.sequence, self._bus.clock() + state.ack_wait_seconds)

    async def close(self) -> None:
        """Nothing to let go of."""


class MemoryBucket:
    """Implements `events.bus.Bucket`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._newest: dict[str, Entry] = {}
        self._revision = 0

    async def get(self, key: str) -> Entry | None:
        await self._bus.reach()
        entry = self._newest.get(key)
        return None if entry is None or entry.deleted else entry

    async def glance(self, key: str) -> Entry | None:
        return await self.get(key)

    async def put(self, key: str, value: bytes) -> int:
        await self._bus.reach()
        return self._write(key, value, deleted=False)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        entry = await self.get(key)
        if revision != (0 if entry is None else entry.revision):
            raise RevisionMismatch(f"{key} is not at revision {revision} any more")
        return self._write(key, value, deleted=False)

    async def delete(self, key: str) -> None:
        await self._bus.reach()
        self._write(key, b"", deleted=True)

    async def entries(self) -> list[Entry]:
        await self._bus.reach()
        return [entry for entry in self._newest.values() if not entry.deleted]

    async def watch(self) -> AsyncIterator[Entry | None]:
        seen = self._revision
        for entry in await self.entries():
            yield entry
        yield None
        while True:
            for entry in [] if self._bus.unavailable else self._newer_than(seen):
                seen = entry.revision
                yield entry
            await self._bus.wait_for_change(_CLOCK_CHECK_SECONDS)

    def _newer_than(self, revision: int) -> list[Entry]:
        newer = (entry for entry in self._newest.values() if entry.revision > revision)
        return sorted(newer, key=lambda entry: entry.revision)

    def _write(self, key: str, value: bytes, *, deleted: bool) -> int:
        self._revision += 1
        self._newest[key] = Entry(key, value, self._revision, deleted)
        self._bus.notify()
        return self._revision


class MemoryBlobs:
    """Implements `events.bus.Blobs`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._data: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> None:
        await self._bus.reach()
        self._data[name] = data

    async def get(self, name: str) -> bytes:
        """Raises `KeyError` where there is none."""
        await self._bus.reach()
        return self._data[name]

    async def delete(self, name: str) -> None:
        await self._bus.reach()
        self._data.pop(name, None)
