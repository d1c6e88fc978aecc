"""Key-value buckets and blobs on JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import nats.js.errors
from nats.js.kv import KeyValue
from nats.js.object_store import ObjectStore

from events import nats_reading
from events.bus import Entry
from events.errors import BusUnavailable, RevisionMismatch
from events.nats_errors import as_bus_errors
from events.nats_wire import WireClient

_REMOVALS: Final = frozenset({"KV-Operation", "Nats-Marker-Reason"})
"""Headers of the markers that stand for a deleted value."""

_PAUSE_SECONDS: Final = 1.0


class NatsBucket:
    """See `events.bus.Bucket`."""

    def __init__(self, client: WireClient, name: str, bucket: KeyValue) -> None:
        self._client = client
        self._bucket = bucket
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def get(self, key: str) -> Entry | None:
        with as_bus_errors(f"reading {key}"):
            try:
                found = await self._bucket.get(key)
            except nats.js.errors.KeyNotFoundError:
                return None
        return Entry(key, found.value or b"", found.revision or 0)

    async def put(self, key: str, value: bytes) -> int:
        with as_bus_errors(f"writing {key}"):
            return await self._bucket.put(key, value)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        with as_bus_errors(f"writing {key}"):
            try:
                if revision == 0:
                    return await self._bucket.create(key, value)
                return await self._bucket.update(key, value, last=revision)
            except nats.js.errors.KeyWrongLastSequenceError as error:
                raise RevisionMismatch(f"{key} was changed by someone else") from error

    async def delete(self, key: str) -> None:
        with as_bus_errors(f"deleting {key}"):
            await self._bucket.delete(key)

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
                following = nats_reading.follow(self._client, self._stream, f"{self._prefix}>", seen + 1)
                async with aclosing(following):
                    async for message in following:
                        entry = self._to_entry(message)
                        seen = entry.revision
                        yield entry
            except BusUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._client.wait_until_connected(None)

    async def _newest(self) -> list[Entry]:
        newest: dict[str, Entry] = {}
        async with aclosing(nats_reading.read(self._client, self._stream, f"{self._prefix}>", 1)) as reading:
            async for message in reading:
                entry = self._to_entry(message)
                newest[entry.key] = entry
        return list(newest.values())

    def _to_entry(self, message: nats_reading.StoredMessage) -> Entry:
        record, headers = message
        deleted = not _REMOVALS.isdisjoint(headers)
        return Entry(record.subject.removeprefix(self._prefix), record.payload, record.sequence, deleted)


class NatsBlobs:
    """See `events.bus.Blobs`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        with as_bus_errors(f"storing {name}"):
            await self._store.put(name, data)

    async def get(self, name: str) -> bytes:
        with as_bus_errors(f"loading {name}"):
            try:
                result = await self._store.get(name)
            except nats.js.errors.NotFoundError:
                raise KeyError(name) from None
        return bytes(result.data or b"")

    async def delete(self, name: str) -> None:
        with as_bus_errors(f"deleting {name}"):
            try:
                await self._store.delete(name)
            except nats.js.errors.NotFoundError:
                return
