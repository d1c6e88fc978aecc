"""Key-value buckets and blobs on JetStream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import nats.errors
import nats.js.errors
from nats.js.kv import KeyValue
from nats.js.object_store import ObjectStore

from events import errors
from events.bus import Entry
from events.errors import describe


class NatsBucket:
    """See `events.bus.Bucket`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> Entry | None:
        try:
            return _to_entry(await self._bucket.get(key))
        except nats.js.errors.KeyNotFoundError:
            return None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error

    async def put(self, key: str, value: bytes) -> int:
        try:
            return await self._bucket.put(key, value)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error

    async def update(self, key: str, value: bytes, revision: int) -> int:
        try:
            if revision == 0:
                return await self._bucket.create(key, value)
            return await self._bucket.update(key, value, last=revision)
        except nats.js.errors.KeyWrongLastSequenceError as error:
            raise errors.RevisionMismatch(f"{key} was changed by someone else") from error
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error

    async def delete(self, key: str) -> None:
        try:
            await self._bucket.delete(key)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error

    async def entries(self) -> list[Entry]:
        found: list[Entry] = []
        async for entry in self.watch():
            if entry is None:
                break
            found.append(entry)
        return found

    async def watch(self) -> AsyncIterator[Entry | None]:
        try:
            watcher = await self._bucket.watchall()
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error
        try:
            primed = False
            async for raw in watcher:
                if raw is None:
                    primed = True
                    yield None
                elif raw.operation is None or primed:
                    yield _to_entry(raw)
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]


class NatsBlobs:
    """See `events.bus.Blobs`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        try:
            await self._store.put(name, data)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error

    async def get(self, name: str) -> bytes:
        try:
            result = await self._store.get(name)
        except nats.js.errors.NotFoundError:
            raise KeyError(name) from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error
        return bytes(result.data or b"")

    async def delete(self, name: str) -> None:
        try:
            await self._store.delete(name)
        except nats.js.errors.NotFoundError:
            return
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from error


def _to_entry(raw: KeyValue.Entry) -> Entry:
    return Entry(raw.key, raw.value or b"", raw.revision or 0, deleted=raw.operation is not None)


def _unavailable(error: BaseException) -> errors.BusUnavailable:
    return errors.BusUnavailable(f"NATS does not answer: {describe(error)}")
