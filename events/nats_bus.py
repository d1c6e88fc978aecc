"""The bus on NATS JetStream. Reads first of the `nats_*` modules, the only ones that know nats-py."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from events import errors, streams
from events.bus import ConsumerState, Message, Record, Stored, StreamState
from events.errors import describe
from events.nats_consumer import NatsConsumer
from events.nats_store import NatsBlobs, NatsBucket

OLDEST_SERVER: Final = (2, 14)
REQUEST_TIMEOUT_SECONDS: Final = 10.0
READ_BATCH: Final = 1_000
"""Messages per batched direct get (ADR-31)."""

_DUPLICATE_IN_BATCH: Final = 10201
_STREAM_NOT_FOUND: Final = 10059
_CONSUMER_NOT_FOUND: Final = 10014
_FULL: Final = frozenset({10023, 10047, 10054, 10077, 10122})
"""Error codes with which JetStream refuses to store for want of room: insufficient resources, storage, maximum exceeded."""


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where NATS is and who we are to it."""

    url: str = "nats://127.0.0.1:4222"
    """One address, or several separated by commas."""
    user: str = ""
    password: str = ""
    """Secret."""
    credentials_file: str = ""
    """A `.creds` file (JWT and NKey), for servers with decentralised authentication."""
    ca_file: str = ""
    """PEM file with the authorities to trust, for `tls://` addresses; empty: the system's."""
    replicas: int = 1
    """Copies of every stream in a cluster: 3 survives the loss of one server."""


class NatsBus:
    """A connection to NATS, used by one process; see `events.bus.Bus` for what its methods promise."""

    def __init__(self, client: Client, settings: BusSettings) -> None:
        self._client = client
        self._settings = settings
        self._js = client.jetstream(timeout=REQUEST_TIMEOUT_SECONDS)
        self._batch_number = 0
        self._consumers: list[NatsConsumer] = []

    @classmethod
    async def connect(cls, settings: BusSettings, *, name: str) -> NatsBus:
        """Connect as `name`. Raises `BusUnavailable` where no server answers, `ServerTooOld` where one is too old."""
        client = Client()
        try:
            await client.connect(name=name, **_connect_options(settings))
        except (OSError, nats.errors.Error, TimeoutError) as error:
            with contextlib.suppress(Exception):
                await client.close()
            raise errors.BusUnavailable(f"cannot connect to NATS at {settings.url}: {describe(error)}") from error
        found = client.connected_server_version
        if (found.major, found.minor) < OLDEST_SERVER:
            await client.close()
            raise errors.ServerTooOld(f"NATS at {settings.url} is {found}; Jetpost needs 2.14 or newer")
        return cls(client, settings)

    # Streams and consumers

    async def setup(self) -> None:
        for spec in streams.STREAMS:
            await self._ensure("STREAM", spec.name, _stream_config(spec, self._settings.replicas))
        with _as_bus_errors():
            for bucket in streams.BUCKETS:
                await self._js.create_key_value(bucket=bucket, history=1, replicas=self._settings.replicas)
            await self._js.create_object_store(bucket=streams.BLOBS, replicas=self._settings.replicas)
        for consumer in streams.CONSUMERS:
            await self.create_consumer(consumer)

    async def _ensure(self, kind: str, name: str, config: dict[str, Any]) -> None:
        with contextlib.suppress(errors.StreamMissing):
            await self._api(f"{kind}.INFO.{name}")
            await self._api(f"{kind}.UPDATE.{name}", config)
            return
        await self._api(f"{kind}.CREATE.{name}", config)

    async def create_consumer(self, spec: streams.ConsumerSpec) -> None:
        await self._api(
            f"CONSUMER.DURABLE.CREATE.{spec.stream}.{spec.name}",
            {"stream_name": spec.stream, "config": _consumer_config(spec), "action": ""},
        )

    async def delete_consumer(self, stream: str, name: str) -> None:
        with contextlib.suppress(errors.StreamMissing):
            await self._api(f"CONSUMER.DELETE.{stream}.{name}")

    async def consumer(self, stream: str, name: str) -> NatsConsumer:
        await self._api(f"CONSUMER.INFO.{stream}.{name}")
        consumer = NatsConsumer(self._client, stream, name)
        await consumer.start()
        self._consumers.append(consumer)
        return consumer

    async def consumer_state(self, stream: str, name: str) -> ConsumerState | None:
        try:
            info = await self._api(f"CONSUMER.INFO.{stream}.{name}")
        except errors.StreamMissing:
            return None
        return ConsumerState(waiting=info["num_pending"], in_flight=info["num_ack_pending"])

    async def stream_state(self, stream: str) -> StreamState:
        state = (await self._api(f"STREAM.INFO.{stream}"))["state"]
        return StreamState(
            messages=state["messages"],
            bytes=state["bytes"],
            first_sequence=state["first_seq"],
            last_sequence=state["last_seq"],
        )

    async def count_by_subject(self, stream: str, filter_subject: str) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        while True:
            info = await self._api(f"STREAM.INFO.{stream}", {"subjects_filter": filter_subject, "offset": len(counts)})
            page: dict[str, int] = info["state"].get("subjects") or {}
            counts |= page
            if not page or len(counts) >= info.get("total", 0):
                return counts

    async def purge(self, stream: str, filter_subject: str) -> int:
        answer = await self._api(f"STREAM.PURGE.{stream}", {"filter": filter_subject})
        return int(answer["purged"])

    # Publishing

    async def publish(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        stored: list[Stored] = []
        for start in range(0, len(messages), streams.ATOMIC_BATCH):
            stored += await self._publish_batch(stream, messages[start : start + streams.ATOMIC_BATCH])
        return stored

    async def _publish_batch(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        if len(messages) > 1:
            last = await self._publish_atomically(messages)
            if last is not None:
                return [Stored(last - len(messages) + n, False) for n in range(1, len(messages) + 1)]
        return await self._publish_singly(stream, messages)

    async def _publish_atomically(self, messages: Sequence[Message]) -> int | None:
        """The sequence of the last one, or None where the batch was refused whole (ADR-50)."""
        self._batch_number += 1
        batch = f"{self._client.client_id:x}.{self._batch_number:x}.{time.monotonic_ns():x}"
        with _as_bus_errors():
            for number, message in enumerate(messages[:-1], start=1):
                await self._client.publish(message.subject, message.payload, headers=_headers(message, batch, number))
            final = messages[-1]
            headers = _headers(final, batch, len(messages)) | {"Nats-Batch-Commit": "1"}
            answer = await self._client.request(
                final.subject, final.payload, timeout=REQUEST_TIMEOUT_SECONDS, headers=headers
            )
        ack = json.loads(answer.data)
        if "error" in ack:
            _raise_if_full(ack["error"])
            return None
        return int(ack["seq"])

    async def _publish_singly(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        with _as_bus_errors():
            pending = [
                await self._js.publish_async(message.subject, message.payload, stream=stream, headers=_headers(message))
                for message in messages
            ]
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                answers = await asyncio.gather(*pending)
        return [Stored(answer.seq, bool(answer.duplicate)) for answer in answers]

    # Reading without consuming

    async def read(
        self, stream: str, filter_subject: str, *, from_sequence: int = 1, follow: bool = False
    ) -> AsyncIterator[Record]:
        last = (await self.stream_state(stream)).last_sequence
        following = from_sequence
        while True:
            page = await self._read_page(stream, filter_subject, following)
            for record in page:
                if record.sequence > last and not follow:
                    return
                yield record
                following = record.sequence + 1
            if len(page) < READ_BATCH:
                if not follow:
                    return
                await self._wait_for_more(stream, filter_subject, following)

    async def _read_page(self, stream: str, filter_subject: str, sequence: int) -> list[Record]:
        """Up to `READ_BATCH` messages from a sequence on, by a batched direct get (ADR-31)."""
        request = {"seq": max(sequence, 1), "next_by_subj": filter_subject, "batch": READ_BATCH}
        inbox = self._client.new_inbox()
        page: list[Record] = []
        with _as_bus_errors():
            subscription = await self._client.subscribe(inbox, pending_bytes_limit=-1)
            try:
                await self._client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
                while True:
                    message = await subscription.next_msg(timeout=REQUEST_TIMEOUT_SECONDS)
                    headers = message.headers or {}
                    if headers.get("Status"):
                        return page
                    page.append(_to_record(message.data, headers))
            finally:
                await subscription.unsubscribe()

    async def _wait_for_more(self, stream: str, filter_subject: str, sequence: int) -> None:
        """Return when the stream may hold something new: at a publish under the filter, or once a second."""
        with _as_bus_errors():
            subscription = await self._client.subscribe(filter_subject, max_msgs=1)
            try:
                if (await self.stream_state(stream)).last_sequence >= sequence:
                    await asyncio.sleep(0.05)
                    return
                with contextlib.suppress(nats.errors.TimeoutError):
                    await subscription.next_msg(timeout=1.0)
            finally:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    # Buckets and blobs

    async def bucket(self, name: str) -> NatsBucket:
        with _as_bus_errors():
            return NatsBucket(await self._js.key_value(name))

    async def blobs(self) -> NatsBlobs:
        with _as_bus_errors():
            return NatsBlobs(await self._js.object_store(streams.BLOBS))

    async def close(self) -> None:
        for consumer in self._consumers:
            await consumer.close()
        await self._client.close()

    async def _api(self, endpoint: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with _as_bus_errors():
            payload = json.dumps(body).encode() if body is not None else b""
            answer = await self._client.request(f"$JS.API.{endpoint}", payload, timeout=REQUEST_TIMEOUT_SECONDS)
        result: dict[str, Any] = json.loads(answer.data)
        if error := result.get("error"):
            _raise_if_full(error)
            if error.get("err_code") in (_STREAM_NOT_FOUND, _CONSUMER_NOT_FOUND):
                raise errors.StreamMissing(f"{endpoint}: {error['description']}; run `jetpost setup`")
            raise errors.BusError(f"{endpoint}: {error['description']} (error {error.get('err_code')})")
        return result


def _connect_options(settings: BusSettings) -> dict[str, Any]:
    async def quiet(error: Exception) -> None:
        """nats-py reports every failed reconnect here; the caller of a failing method hears of it as `RetryLater`."""

    options: dict[str, Any] = {
        "servers": [address.strip() for address in settings.url.split(",")],
        "error_cb": quiet,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 5,
        "pending_size": 64 * 1024 * 1024,
    }
    if settings.user:
        options |= {"user": settings.user, "password": settings.password}
    if settings.credentials_file:
        options["user_credentials"] = settings.credentials_file
    if settings.ca_file:
        options["tls"] = ssl.create_default_context(cafile=settings.ca_file)
    return options


def _stream_config(spec: streams.StreamSpec, replicas: int) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": spec.description,
        "subjects": list(spec.subjects),
        "retention": spec.retention,
        "storage": "file",
        "num_replicas": replicas,
        "max_age": _nanoseconds(spec.max_age_seconds),
        "max_msgs": spec.max_messages,
        "max_bytes": -1,
        "duplicate_window": _nanoseconds(streams.DEDUPLICATION_SECONDS),
        "allow_direct": True,
        "allow_atomic": True,
        "allow_msg_schedules": spec.schedules,
    }


def _consumer_config(spec: streams.ConsumerSpec) -> dict[str, Any]:
    return {
        "durable_name": spec.name,
        "filter_subject": spec.filter_subject,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": _nanoseconds(spec.ack_wait_seconds),
        "max_deliver": spec.max_deliveries,
        "max_ack_pending": spec.max_ack_pending,
    }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _headers(message: Message, batch: str = "", number: int = 0) -> dict[str, str]:
    headers = {"Nats-Msg-Id": message.id} if message.id else {}
    if batch:
        headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
    if message.due_at is not None:
        due = datetime.fromtimestamp(message.due_at, UTC).isoformat(timespec="milliseconds")
        headers |= {
            "Nats-Schedule": f"@at {due.replace('+00:00', 'Z')}",
            "Nats-Schedule-Target": message.target,
        }
    return headers


def _to_record(data: bytes, headers: Mapping[str, str]) -> Record:
    stored_at = headers["Nats-Time-Stamp"]
    return Record(
        payload=data,
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        stored_at=datetime.fromisoformat(stored_at[:19] + "+00:00").timestamp() + _fraction(stored_at),
        id=headers.get("Nats-Msg-Id", ""),
    )


def _fraction(timestamp: str) -> float:
    """The part after the second of an RFC 3339 time: up to nine digits, which `fromisoformat` refuses."""
    digits = timestamp[19:].rstrip("Z").lstrip(".")
    return float(f"0.{digits}") if digits else 0.0


def _raise_if_full(error: dict[str, Any]) -> None:
    if error.get("err_code") in _FULL:
        raise errors.StreamFull(f"JetStream refuses to store more: {error['description']} (error {error['err_code']})")
    if error.get("code") == 503:
        raise errors.BusUnavailable(f"JetStream is not ready: {error['description']}")


@contextlib.contextmanager
def _as_bus_errors() -> Iterator[None]:
    try:
        yield
    except nats.js.errors.APIError as error:
        _raise_if_full({"err_code": error.err_code, "code": error.code, "description": error.description})
        if isinstance(error, nats.js.errors.NotFoundError):
            raise errors.StreamMissing(f"{error.description}; run `jetpost setup`") from error
        raise errors.BusError(f"{error.description} (error {error.err_code})") from error
    except nats.js.errors.NoStreamResponseError as error:
        raise errors.StreamMissing("no stream takes this subject; run `jetpost setup`") from error
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise errors.BusUnavailable(f"NATS does not answer: {describe(error)}") from error
