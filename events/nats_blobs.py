"""Object stores on JetStream, as every client keeps them (ADR-20).

The bytes of an object lie in chunks under a subject of their own, and what is known of it under its name. Whoever replaces or
deletes an object purges the chunks of the old one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import msgspec

from events import nats_acks, nats_leader, nats_reading, streams, subjects
from events.bus import Message
from events.errors import BusError, BusUnavailable
from events.nats_errors import result_of
from events.nats_frames import single_messages
from events.nats_wire import WireClient

CHUNK_BYTES: Final = 128 * 1024
_TOGETHER: Final = 16
"""Chunks on their way at once: 2 MB."""
TIMEOUT_SECONDS: Final = 10.0

_REPLACE: Final = b"Nats-Rollup: sub\r\n"
"""This message takes the place of all others under its subject."""


class _Options(msgspec.Struct, frozen=True):
    max_chunk_size: int = CHUNK_BYTES


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an object."""

    name: str
    bucket: str
    nuid: str
    """Names its chunks."""
    size: int = 0
    mtime: str = ""
    chunks: int = 0
    digest: str = ""
    deleted: bool = False
    options: _Options = _Options()


_decode = msgspec.json.Decoder(_Info).decode


class NatsBlobs:
    """See `events.bus.Blobs`."""

    def __init__(self, client: WireClient, store: str) -> None:
        self._client = client
        self._store = store
        self._stream = streams.stream_of_store(store)
        chunks, names = subjects.contents_of(store)
        self._chunks, self._names = chunks.removesuffix(">"), names.removesuffix(">")

    async def put(self, name: str, data: bytes) -> None:
        before = await self._find(name)
        info = _Info(
            name=name,
            bucket=self._store,
            nuid=secrets.token_hex(11),
            size=len(data),
            mtime=datetime.now(UTC).isoformat(),
            chunks=-(-len(data) // CHUNK_BYTES),
            digest=_digest(data),
        )
        try:
            await self._put_chunks(info, data)
            await self._note(info)
        except BusError:
            with contextlib.suppress(BusError):
                await self._purge(info)
            raise
        if before is not None:
            await self._purge(before)

    async def get(self, name: str) -> bytes:
        info = await self._find(name)
        if info is None:
            raise KeyError(name)
        chunks = []
        if info.size:
            subject = f"{self._chunks}{info.nuid}"
            async with aclosing(nats_reading.pages(self._client, self._stream, subject, 1)) as reading:
                chunks = [record.payload async for record, _ in reading]
        data = b"".join(chunks)
        if _digest(data) != info.digest:  # replaced meanwhile, or not yet everywhere
            raise BusUnavailable(f"loading {name}: {len(data)} of {info.size} bytes are there")
        return data

    async def delete(self, name: str) -> None:
        info = await self._find(name)
        if info is not None:
            await self._note(_Info(name=name, bucket=self._store, nuid=info.nuid, deleted=True))
            await self._purge(info)

    async def _find(self, name: str) -> _Info | None:
        """Asked of the stream's leader: a copy that lags behind would say that there is none."""
        found = await nats_leader.newest(self._client, self._stream, self._subject(name))
        info = None if found is None else _decode(found.payload)
        return None if info is None or info.deleted else info

    async def _put_chunks(self, info: _Info, data: bytes) -> None:
        view = memoryview(data)
        parts = [bytes(view[start : start + CHUNK_BYTES]) for start in range(0, len(data), CHUNK_BYTES)]
        messages = [Message(f"{self._chunks}{info.nuid}", part) for part in parts]
        for start in range(0, len(messages), _TOGETHER):
            together = messages[start : start + _TOGETHER]
            await self._publish(together, b"", info.name)

    async def _note(self, info: _Info) -> None:
        await self._publish([Message(self._subject(info.name), msgspec.json.encode(info))], _REPLACE, info.name)

    async def _publish(self, messages: list[Message], headers: bytes, name: str) -> None:
        answers = await self._client.exchange(
            len(messages),
            lambda inbox: single_messages(messages, headers, inbox, self._client.max_payload),
            TIMEOUT_SECONDS,
        )
        for answer in answers:
            nats_acks.stored(answer, f"storing {name}")

    async def _purge(self, info: _Info) -> None:
        asked = json.dumps({"filter": f"{self._chunks}{info.nuid}"}).encode()
        answer = await self._client.ask(f"$JS.API.STREAM.PURGE.{self._stream}", asked, TIMEOUT_SECONDS)
        result_of(answer, f"clearing {info.name}")

    def _subject(self, name: str) -> str:
        return f"{self._names}{base64.urlsafe_b64encode(name.encode()).decode()}"


def _digest(data: bytes) -> str:
    return f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()}"
