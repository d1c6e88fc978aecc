"""Key-value buckets on JetStream, as every client keeps them (ADR-8)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from events import nats_acks, nats_leader, nats_reading, streams, subjects
from events.bus import Entry, Message
from events.errors import BusError, BusUnavailable, RevisionMismatch
from events.nats_frames import message_frame
from events.nats_reading import StoredMessage
from events.nats_wire import WireClient

TIMEOUT_SECONDS: Final = 5.0

_REMOVALS: Final = frozenset({"KV-Operation", "Nats-Marker-Reason"})
"""Headers of the markers that stand for a deleted value."""
_DELETE: Final = b"KV-Operation: DEL\r\n"

_PAUSE_SECONDS: Final = 1.0

_is_key: Final = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*").fullmatch


class NatsBucket:
    """See `events.bus.Bucket`."""

    def __init__(self, client: WireClient, name: str) -> None:
        self._client = client
        self._stream = streams.stream_of_bucket(name)
        self._keys = subjects.keys_of(name)
        self._prefix = self._keys.removesuffix(">")

    async def get(self, key: str) -> Entry | None:
        entry = await self._find(key)
        return None if entry is None or entry.deleted else entry

    async def glance(self, key: str) -> Entry | None:
        message = await nats_reading.glance(self._client, self._stream, self._subject(key))
        entry = None if message is None else self._to_entry(message)
        return None if entry is None or entry.deleted else entry

    async def put(self, key: str, value: bytes) -> int:
        return nats_acks.stored(await self._publish(key, value, b""), f"writing {key}").seq

    async def update(self, key: str, value: bytes, revision: int) -> int:
        written = await self._write_on_top(key, value, revision)
        if not written and revision == 0:
            marker = await self._find(key)
            if marker is not None and marker.deleted:
                written = await self._write_on_top(key, value, marker.revision)
        if not written:
            raise RevisionMismatch(f"{key} was changed by someone else")
        return written

    async def delete(self, key: str) -> None:
        nats_acks.stored(await self._publish(key, b"", _DELETE), f"deleting {key}")

    async def entries(self) -> list[Entry]:
        return [entry for entry in await self._newest() if not entry.deleted]

    async def watch(self) -> AsyncIterator[Entry | None]:
        newest = await self._newest()
        for entry in newest:
            if not entry.deleted:
                yield entry
        yield None
        seen = max((entry.revision for entry in newest), default=0)
        while True:
            try:
                following = nats_reading.follow(self._client, self._stream, self._keys, seen + 1)
                async with aclosing(following):
                    async for message in following:
                        entry = self._to_entry(message)
                        seen = entry.revision
                        yield entry
            except BusUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._client.wait_until_connected(None)

    async def _find(self, key: str) -> Entry | None:
        """The newest value of a key, or the marker that it was deleted."""
        found = await nats_leader.newest(self._client, self._stream, self._subject(key))
        if found is None:
            return None
        deleted = not _REMOVALS.isdisjoint(nats_reading.parse_headers(found.headers))
        return Entry(key, found.payload, found.seq, deleted)

    async def _newest(self) -> list[Entry]:
        newest: dict[str, Entry] = {}
        async with aclosing(nats_reading.read(self._client, self._stream, self._keys, 1)) as reading:
            async for message in reading:
                entry = self._to_entry(message)
                newest[entry.key] = entry
        return list(newest.values())

    async def _write_on_top(self, key: str, value: bytes, revision: int) -> int:
        """The new revision; 0 where the newest one is another. Waits until it is decided what becomes of a value on its way."""
        expected = b"Nats-Expected-Last-Subject-Sequence: %d\r\n" % revision
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        while True:
            ack = nats_acks.decode(await self._publish(key, value, expected))
            if not nats_acks.is_undecided(ack):
                return ack.seq if nats_acks.settled(ack, nats_acks.WRONG_LAST_SEQUENCE, f"writing {key}") else 0
            await asyncio.sleep(nats_acks.UNDECIDED_PAUSE_SECONDS)
            newest = await self._find(key)
            if (0 if newest is None else newest.revision) != revision:
                return 0
            if time.monotonic() > give_up_at:
                raise BusUnavailable(f"{key} is being changed by someone else, and NATS does not say whether it was")

    async def _publish(self, key: str, value: bytes, headers: bytes) -> bytes:
        message = Message(self._subject(key), value)
        (answer,) = await self._client.exchange(
            1,
            lambda inbox: message_frame(message, headers, inbox + b".0 ", self._client.max_payload),
            TIMEOUT_SECONDS,
        )
        return answer

    def _subject(self, key: str) -> str:
        if not _is_key(key):
            raise BusError(f"{key!r} cannot be the key of a value: its words may have letters, digits and -/_=")
        return f"{self._prefix}{key}"

    def _to_entry(self, message: StoredMessage) -> Entry:
        record, headers = message
        deleted = not _REMOVALS.isdisjoint(headers)
        return Entry(record.subject.removeprefix(self._prefix), record.payload, record.sequence, deleted)
