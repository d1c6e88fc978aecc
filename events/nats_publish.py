"""Publishing on JetStream: many messages on their way at once, each with its own answer; and once more after a lost connection.

In atomic batches (ADR-50) where that spares syncs or rounds between replicas: a batch has one of each. Elsewhere it costs more
than its messages do singly: the server writes it to a store of its own first, in a folder, which takes a millisecond of CPU.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from events import nats_acks, nats_frames, nats_leader, streams
from events.bus import Message, Storage, Stored
from events.errors import BusUnavailable, StreamFull
from events.nats_acks import PubAck
from events.nats_errors import from_answer
from events.nats_wire import ConnectionLost, NoAnswer, NoResponders, WireClient

TIMEOUT_SECONDS: Final = 10.0
"""How long one call to publish 500 messages tries, lost connections included, before it raises `BusUnavailable`."""

_PAUSE_SECONDS: Final = 0.01
"""Before a lost publish is tried again. Writing may fail before nats-py has had a turn to see that the connection is gone, and
until it has, all looks well: without a pause it would never get one."""

_MARK: Final = "Try"
"""Header of a message published singly, with the name of the try; batches have theirs in `Nats-Batch-Id`. It is stored with each
message, so it is short."""


class Publisher:
    """Publishes over one connection; see `events.bus.Bus.publish` for what it promises."""

    def __init__(self, client: WireClient, storage: Callable[[], Awaitable[Storage]], *, in_batches: bool) -> None:
        self._client = client
        self._storage = storage
        self._in_batches = in_batches
        self._names = _names()

    async def publish(self, stream: str, messages: Sequence[Message], *, telling: bool = True) -> list[Stored]:
        """Without `telling`, what an earlier try of this call had stored may be called a duplicate."""
        stored: list[Stored] = []
        for start in range(0, len(messages), streams.ATOMIC_BATCH):
            part = messages[start : start + streams.ATOMIC_BATCH]
            try:
                stored += await self._publish_with_retries(stream, part, telling=telling)
            except NoAnswer as error:
                await self._say_if_full(error)
                raise
        return stored

    async def _say_if_full(self, error: NoAnswer) -> None:
        """Seen on nats-server 2.15: a batch that meets the end of the store within itself is sometimes not answered."""
        storage = await self._storage()
        if storage.nearly_full:
            raise StreamFull(f"JetStream refuses to store more: it holds {storage}") from error

    async def replace(self, stream: str, messages: Sequence[Message], sequences: Sequence[int]) -> list[int]:
        """See `events.bus.Bus.replace`."""
        stored: list[int] = []
        for start in range(0, len(messages), streams.ATOMIC_BATCH):
            part = slice(start, start + streams.ATOMIC_BATCH)
            stored += await self._replace_once(stream, messages[part], sequences[part])
        return stored

    async def _replace_once(self, stream: str, messages: Sequence[Message], sequences: Sequence[int]) -> list[int]:
        """Asks again for what is undecided, since another message under its subject is on its way."""
        stored = dict.fromkeys(range(len(messages)), 0)
        left = list(stored)
        give_up_at = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        while True:
            acks = await self._ask_to_replace([messages[n] for n in left], [sequences[n] for n in left])
            decided = {n: ack for n, ack in zip(left, acks, strict=True) if not nats_acks.is_undecided(ack)}
            for number, ack in decided.items():
                if nats_acks.settled(ack, nats_acks.WRONG_LAST_SEQUENCE, f"publishing to {stream}"):
                    stored[number] = ack.seq
            left = [number for number in left if number not in decided]
            if not left:
                return list(stored.values())
            if asyncio.get_running_loop().time() > give_up_at:
                raise BusUnavailable(
                    f"{messages[left[0]].subject}: NATS does not decide which of two messages it stores"
                )
            await asyncio.sleep(nats_acks.UNDECIDED_PAUSE_SECONDS)

    async def _ask_to_replace(self, messages: Sequence[Message], sequences: Sequence[int]) -> list[PubAck]:
        answers = await self._client.exchange(
            len(messages),
            lambda inbox: nats_frames.conditional_messages(messages, sequences, inbox, self._client.max_payload),
            TIMEOUT_SECONDS,
        )
        return list(map(nats_acks.decode, answers))

    async def delete(self, stream: str, sequences: Sequence[int]) -> list[bool]:
        """See `events.bus.Bus.delete`."""
        deleted: list[bool] = []
        for start in range(0, len(sequences), streams.ATOMIC_BATCH):
            part = sequences[start : start + streams.ATOMIC_BATCH]
            answers = await self._client.exchange(
                len(part), functools.partial(nats_frames.deletions, stream, part), TIMEOUT_SECONDS
            )
            acks = map(nats_acks.decode, answers)
            deleted += [nats_acks.settled(ack, nats_acks.NOT_THERE, f"deleting from {stream}") for ack in acks]
        return deleted

    async def _publish_with_retries(self, stream: str, messages: Sequence[Message], *, telling: bool) -> list[Stored]:
        """Publish again what was under way when the connection broke: the ids make that harmless."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + TIMEOUT_SECONDS
        lost: set[bytes] = set()
        while True:
            name = next(self._names)
            try:
                stored = await self._publish_once(stream, messages, name)
            except ConnectionLost:
                if loop.time() >= give_up_at or not all(message.id for message in messages):
                    raise
                lost.add(name)
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._client.wait_until_connected(give_up_at - loop.time())
            else:
                return await self._claim_own(stream, stored, lost) if lost and telling else stored

    async def _publish_once(self, stream: str, messages: Sequence[Message], name: bytes) -> list[Stored]:
        try:
            if self._in_batches and len(messages) > 1 and (stored := await self._publish_atomically(messages, name)):
                return stored
            return await self._publish_singly(stream, messages, name)
        except NoResponders:
            # No stream takes the subject, or its leader is being elected: the server knows which.
            answer = json.loads(await self._client.ask(f"$JS.API.STREAM.INFO.{stream}", b"", TIMEOUT_SECONDS))
            if "error" in answer:
                raise from_answer(answer["error"], f"publishing to {stream}") from None
            raise

    async def _publish_atomically(self, messages: Sequence[Message], name: bytes) -> list[Stored] | None:
        """None where the server refused the batch whole: for a duplicate in it, or for too many batches under way."""
        (answer,) = await self._client.exchange(
            1,
            lambda inbox: nats_frames.atomic_batch(messages, name, inbox, self._client.max_payload),
            TIMEOUT_SECONDS,
        )
        ack = nats_acks.decode(answer)
        if ack.error is not None:
            error = from_answer(ack.error, "publishing")
            if isinstance(error, (StreamFull, BusUnavailable)):
                raise error
            return None
        first = ack.seq - len(messages) + 1
        return [Stored(sequence, False) for sequence in range(first, ack.seq + 1)]

    async def _publish_singly(self, stream: str, messages: Sequence[Message], name: bytes) -> list[Stored]:
        mark = b"%b: %b\r\n" % (_MARK.encode("ascii"), name)
        answers = await self._client.exchange(
            len(messages),
            lambda inbox: nats_frames.single_messages(messages, mark, inbox, self._client.max_payload),
            TIMEOUT_SECONDS,
        )
        acks = [nats_acks.stored(answer, f"publishing to {stream}") for answer in answers]
        return [Stored(ack.seq, ack.duplicate) for ack in acks]

    async def _claim_own(self, stream: str, stored: Sequence[Stored], lost: set[bytes]) -> list[Stored]:
        """Tell duplicates of others from those of our own tries whose answers were lost: the latter are no duplicates.

        Without this, every claim that was under way when the server restarted would look like someone else's. Where an id
        came twice in one call, the first message is the one that was stored.
        """
        told: list[Stored] = []
        own: set[int] = set()
        for answer in stored:
            ours = (
                answer.duplicate and answer.sequence not in own and await self._is_from(stream, answer.sequence, lost)
            )
            if ours:
                own.add(answer.sequence)
            told.append(Stored(answer.sequence, answer.duplicate and not ours))
        return told

    async def _is_from(self, stream: str, sequence: int, tries: set[bytes]) -> bool:
        found = await nats_leader.at(self._client, stream, sequence)
        return found is not None and any(b": %b\r\n" % name in found.headers for name in tries)


def _names() -> Iterator[bytes]:
    """Names for tries, unlike those of any other process and short: a batch's is stored with each of its messages."""
    process = secrets.token_hex(5).encode("ascii")
    return (b"%b.%x" % (process, number) for number in itertools.count(1))
