"""The bus as services see it. `nats_bus.NatsBus` is the real one; `memory_bus.MemoryBus` its twin for tests.

Promises, which every implementation keeps (tests/contract/test_bus.py):

- What `publish` returned for is stored; publishing the same message id again within the deduplication window stores
  nothing and says `duplicate`.
- What a consumer was given and did not acknowledge comes again after its ack-wait. `ack` returns when the server has
  taken note.
- When the server cannot be reached or refuses for now, calls raise `errors.RetryLater` and nothing is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from events.streams import BLOBS, HIGH_WATER, ConsumerSpec, Timing


class Message(NamedTuple):
    """Something to publish."""

    subject: str
    payload: bytes
    id: str = ""
    """The `Nats-Msg-Id`; empty: every publish stores anew."""
    due_at: float | None = None
    """Deliver at this moment (Unix seconds) to `target` instead of now (ADR-51); until then it waits under `subject`."""
    target: str = ""


class Stored(NamedTuple):
    sequence: int
    """Place in the stream; of the first copy where it was a duplicate, or 0 where the server does not say."""
    duplicate: bool


class Delivery(NamedTuple):
    """A message as a consumer gets it."""

    payload: bytes
    subject: str
    sequence: int
    """Place in the stream."""
    deliveries: int
    """How often it was delivered, this time included; above 1 someone had it before."""
    handle: str
    """What the acknowledgement is sent to."""


class Record(NamedTuple):
    """A message as it lies in a stream."""

    payload: bytes
    subject: str
    sequence: int
    stored_at: float
    """Unix seconds."""
    id: str
    due_at: float | None = None
    """When it goes to its target (Unix seconds); None: it does not wait for a time."""


class Passage(NamedTuple):
    """What somebody wrote in a stream, and where it lies."""

    payload: bytes
    subject: str
    sequence: int


class ConsumerState(msgspec.Struct, frozen=True):
    waiting: int
    """Messages not delivered yet."""
    in_flight: int
    """Delivered and not acknowledged."""


class StreamState(msgspec.Struct, frozen=True):
    messages: int
    bytes: int
    first_sequence: int
    last_sequence: int


class Storage(msgspec.Struct, frozen=True):
    """What JetStream has room for. All streams, buckets and blobs share it."""

    used: int
    """Bytes."""
    limit: int | None
    """Bytes; None: the server does not say, as where the account has no limit of its own."""

    @property
    def share(self) -> float:
        """Of the limit; 0 where there is none."""
        return self.used / self.limit if self.limit else 0.0

    @property
    def nearly_full(self) -> bool:
        return self.share > HIGH_WATER

    def __str__(self) -> str:
        limit = f" of {self.limit / 1e6:,.0f} MB ({self.share:.0%})" if self.limit else ""
        return f"{self.used / 1e6:,.0f} MB{limit}"


class Consumer(Protocol):
    async def fetch(self, limit: int, max_wait_seconds: float) -> list[Delivery]:
        """Up to `limit` messages, as soon as there is at least one; an empty list after `max_wait_seconds` without any.

        Raises `StreamMissing` where the consumer was deleted. One task at a time may fetch from one `Consumer`.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Done with these. Returns when the server has taken note."""
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand these back at once, unprocessed: they come again, to whoever asks next."""
        ...

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Still working on these: the ack-wait starts anew. Returns when the server has taken note."""
        ...

    async def close(self) -> None:
        """Stop; what was not fetched yet comes again elsewhere at once, and what is not acknowledged does after the ack-wait.

        What is held can be acknowledged or released as before. Whoever gives it all back closes first: what is released while
        a `fetch` has left a request open comes right back.
        """
        ...


class Entry(NamedTuple):
    key: str
    value: bytes
    """Empty where `deleted`."""
    revision: int
    deleted: bool = False


class Bucket(Protocol):
    """A small, durable map of keys to values, with optimistic locking."""

    async def get(self, key: str) -> Entry | None:
        """The newest value."""
        ...

    async def glance(self, key: str) -> Entry | None:
        """The same for those who may ask for single keys alone: in a cluster it may be a moment old, and on a host that was cut
        off much older."""
        ...

    async def put(self, key: str, value: bytes) -> int: ...

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Put, if the key's newest revision is still `revision` (0: the key must not exist). Raises `RevisionMismatch`."""
        ...

    async def delete(self, key: str) -> None: ...

    async def entries(self) -> list[Entry]:
        """All keys that have a value."""
        ...

    def watch(self) -> AsyncIterator[Entry | None]:
        """Every key that has a value, then None once, then every change as it happens. Goes on over reconnects."""
        ...


class Blobs(Protocol):
    """Large values, by name."""

    async def put(self, name: str, data: bytes) -> None: ...

    async def get(self, name: str) -> bytes:
        """Raises `KeyError` where there is none."""
        ...

    async def delete(self, name: str) -> None: ...


class Bus(Protocol):
    @property
    def timing(self) -> Timing:
        """After how long a message comes again, and how long ids are remembered."""
        ...

    @property
    def interruptions(self) -> int:
        """How often the connection was lost so far. The server may have been killed meanwhile, and a killed server forgets
        its newest deliveries: they come again as if for the first time."""
        ...

    async def setup(self) -> None:
        """Create or update all streams, buckets and fixed consumers; harmless to repeat."""
        ...

    async def lacking(self, needed: Collection[str] | None = None) -> list[str]:
        """Names of streams and buckets that are missing, or that hold or promise less than this release needs: what `setup`
        would mend. What a newer release has added is no lack. `needed`: look at these alone, by their names in NATS."""
        ...

    async def publish(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        """Store messages of one stream, in order; returns when all are stored, an answer each.

        In atomic batches where these spare syncs or rounds between replicas, else singly; either way a repeat with the
        same ids is harmless. Raises `RetryLater`; then each was stored or not, and the same call again settles it.
        """
        ...

    async def append(self, stream: str, messages: Sequence[Message]) -> None:
        """As `publish`, for whoever does not ask which were there before: it needs no right to read the stream."""
        ...

    async def replace(self, stream: str, messages: Sequence[Message], sequences: Sequence[int]) -> list[int]:
        """Store each message only where the newest one under its subject lies at the sequence given for it (0: there is none).

        Returns where each lies now, 0 where it was not stored. Of many who try the same, one succeeds. The messages must
        have no id. Raises `RetryLater`; then each was stored or not, and reading the subject tells.
        """
        ...

    async def delete(self, stream: str, sequences: Sequence[int]) -> list[bool]:
        """Delete single messages; says for each whether it was there. Of many who try the same, one hears yes."""
        ...

    async def create_consumer(self, spec: ConsumerSpec) -> None: ...

    async def delete_consumer(self, stream: str, name: str) -> None:
        """Harmless where there is none."""
        ...

    async def consumer(self, stream: str, name: str) -> Consumer:
        """Raises `StreamMissing` where it does not exist."""
        ...

    async def consumer_state(self, stream: str, name: str) -> ConsumerState | None:
        """None where it does not exist. Costs the same whatever the numbers; `streams.WAITING` counts retries this way."""
        ...

    async def stream_state(self, stream: str) -> StreamState: ...

    async def storage(self) -> Storage:
        """How full the store is. Costs a third of a millisecond."""
        ...

    async def server_time(self) -> float:
        """What the server's clock says, Unix seconds, at some moment between asking and answering."""
        ...

    async def count_by_subject(self, stream: str, filter_subject: str) -> Mapping[str, int]:
        """How many messages lie under each subject that matches. Costs the server time in proportion."""
        ...

    def read(
        self, stream: str, filter_subject: str, *, from_sequence: int = 1, follow: bool = False
    ) -> AsyncIterator[Record]:
        """Messages in order, without consuming them, to the end as it was at the start; with `follow`, on and on.

        None that had been stored by then is left out. Raises `BusUnavailable` where nobody answers who has all of them, with
        `follow` some seconds after that began.
        """
        ...

    async def read_range(self, stream: str, first: int, last: int) -> Sequence[Passage]:
        """Everything that lies in the stream from sequence `first` to `last`, in order; `last` must have been stored before.

        Raises `BusUnavailable` where the copy of the stream that answers does not have all of it yet.
        """
        ...

    async def purge(self, stream: str, filter_subject: str, *, up_to: int | None = None) -> int:
        """Delete what matches, where `up_to` is given only up to that sequence; returns how many."""
        ...

    async def bucket(self, name: str) -> Bucket: ...

    async def blobs(self, store: str = BLOBS) -> Blobs: ...

    async def close(self) -> None: ...
