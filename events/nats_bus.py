"""The bus on NATS JetStream. Reads first of the `nats_*` modules, the only ones that know nats-py."""

from __future__ import annotations

import contextlib
import json
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import nats.errors

from events import errors, nats_archive, nats_config, nats_connect, nats_ranges, nats_reading, streams
from events.bus import ConsumerState, Message, Passage, Record, Storage, Stored, StreamState
from events.errors import describe
from events.nats_blobs import NatsBlobs
from events.nats_bucket import NatsBucket
from events.nats_consumer import NatsConsumer
from events.nats_errors import result_of
from events.nats_publish import Publisher
from events.nats_wire import WireClient
from events.secrets import without_password

OLDEST_SERVER: Final = (2, 14)
REQUEST_TIMEOUT_SECONDS: Final = 10.0


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where NATS is and who we are to it."""

    url: str = "nats://127.0.0.1:4222"
    """One address, or several separated by commas."""
    randomize: bool = True
    """Of several addresses try one at random, so that clients spread over the servers. Without it they are tried in the order
    given: put the server of each host first in its own settings."""
    user: str = ""
    """For servers that ask for user and password; empty: none."""
    password: str = ""
    """Its password. Secret: never logged."""
    credentials_file: str = ""
    """A `.creds` file (JWT and NKey), for servers with decentralised authentication."""
    inbox_prefix: str = ""
    """With what the subjects begin on which NATS answers us; empty: `_INBOX_` and the user, or `_INBOX` without one. For users
    that the server knows by `credentials_file` or by their certificates."""
    ca_file: str = ""
    """PEM file with the authorities to trust, for `tls://` addresses; empty: the system's."""
    cert_file: str = ""
    """PEM file with our own certificate and those between it and its authority, for servers that ask for one; with `key_file`."""
    key_file: str = ""
    """PEM file with the key of `cert_file`, without a passphrase."""
    replicas: int = 1
    """Copies of every stream in a cluster: 3 survives the loss of one server."""
    placement_cluster: str = ""
    """Which of several clusters keeps the streams, by its name; empty: where NATS puts them, or an operator has."""
    placement_tags: tuple[str, ...] = ()
    """Keep the streams on servers that have all of these `server_tags`, such as `disk:nvme`; empty: where NATS puts them, or an
    operator has. `jetpost setup` moves streams that lie elsewhere, while work goes on."""
    ack_wait_seconds: float = streams.ACK_WAIT_SECONDS
    """After this long without a word from a worker its mails go to another. Must exceed `command_timeout_seconds` plus
    `data_timeout_seconds` of every relay, and be the same in all processes; change it while no campaign runs. The server
    remembers message ids for three times as long, which costs it memory. Not below 10 on a cluster: a server that is cut off goes
    on for 20 s as if it were not."""
    sync_always: bool = False
    """The server syncs whatever it stores (`sync_interval: always`). Then messages go in batches, which it syncs once each; any
    other single server spends less on the messages without a batch."""

    @property
    def in_batches(self) -> bool:
        """Whether to publish in atomic batches: where a batch spares syncs, or rounds between replicas."""
        return self.sync_always or self.replicas > 1


class NatsBus:
    """A connection to NATS, used by one process; see `events.bus.Bus` for what its methods promise."""

    def __init__(self, client: WireClient, settings: BusSettings) -> None:
        self._client = client
        self._settings = settings
        self.timing = streams.Timing(settings.ack_wait_seconds)
        self._publisher = Publisher(client, self.storage, in_batches=settings.in_batches)
        self._consumers: weakref.WeakSet[NatsConsumer] = weakref.WeakSet()
        self._found: set[str] = set()
        """Streams behind buckets and stores that are there."""

    @classmethod
    async def connect(cls, settings: BusSettings, *, name: str) -> NatsBus:
        """Connect as `name`. Raises `BusUnavailable` where no server answers, `ServerTooOld` where one is too old."""
        client = WireClient()
        try:
            await client.open({"name": name} | nats_connect.options(settings))
        except (OSError, nats.errors.Error, TimeoutError) as error:
            await _give_up(client)
            raise errors.BusUnavailable(
                f"cannot connect to NATS at {without_password(settings.url)}: {describe(error)}"
            ) from error
        except errors.NotPermitted:
            await _give_up(client)
            raise
        found = client.connected_server_version
        if (found.major, found.minor) < OLDEST_SERVER:
            await client.close()
            raise errors.ServerTooOld(
                f"NATS at {without_password(settings.url)} is {found}; Jetpost needs 2.14 or newer"
            )
        return cls(client, settings)

    @property
    def interruptions(self) -> int:
        return self._client.losses

    # Streams and consumers

    async def setup(self) -> None:
        for _, config in self._wanted():
            await self._ensure(config)
        for consumer in streams.CONSUMERS:
            await self.create_consumer(consumer)

    async def lacking(self, needed: Collection[str] | None = None) -> list[str]:
        wanted = ((name, config) for name, config in self._wanted() if needed is None or config["name"] in needed)
        return [name for name, config in wanted if not await self._suffices(config)]

    def _wanted(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Names, as we call them, and configurations of all that `setup` makes."""
        replicas = self._settings.replicas
        for spec in streams.STREAMS:
            yield spec.name, nats_config.stream_config(spec, replicas, self.timing)
        for bucket in streams.BUCKETS:
            yield bucket, nats_config.bucket_config(bucket, replicas)
        for store in streams.STORES:
            yield store, nats_config.blobs_config(store, replicas)

    async def _suffices(self, wanted: dict[str, Any]) -> bool:
        with contextlib.suppress(errors.StreamMissing):
            there = (await self._api(f"STREAM.INFO.{wanted['name']}"))["config"]
            return nats_config.suffices(there, wanted)
        return False

    async def _ensure(self, config: dict[str, Any]) -> None:
        name, place = (
            config["name"],
            nats_config.placement(self._settings.placement_cluster, self._settings.placement_tags),
        )
        with contextlib.suppress(errors.StreamMissing):
            there = (await self._api(f"STREAM.INFO.{name}"))["config"]
            await self._api(f"STREAM.UPDATE.{name}", config | {"placement": place or there.get("placement")})
            return
        await self._api(f"STREAM.CREATE.{name}", config | {"placement": place})

    async def create_consumer(self, spec: streams.ConsumerSpec) -> None:
        config = nats_config.consumer_config(spec, self.timing)
        await self._api(
            f"CONSUMER.DURABLE.CREATE.{spec.stream}.{spec.name}",
            {"stream_name": spec.stream, "config": config, "action": ""},
        )

    async def delete_consumer(self, stream: str, name: str) -> None:
        with contextlib.suppress(errors.StreamMissing):
            await self._api(f"CONSUMER.DELETE.{stream}.{name}")

    async def consumer(self, stream: str, name: str) -> NatsConsumer:
        await self._api(f"CONSUMER.INFO.{stream}.{name}")
        consumer = NatsConsumer(self._client, stream, name)
        await consumer.start()
        self._consumers.add(consumer)
        return consumer

    async def consumer_state(self, stream: str, name: str) -> ConsumerState | None:
        try:
            info = await self._api(f"CONSUMER.INFO.{stream}.{name}")
        except errors.StreamMissing:
            return None
        return ConsumerState(waiting=info["num_pending"], in_flight=info["num_ack_pending"])

    async def stream_state(self, stream: str) -> StreamState:
        info = await self._api(f"STREAM.INFO.{stream}")
        if not info.get("cluster", {"leader": "the only server"}).get("leader"):
            raise errors.BusUnavailable(
                f"stream {stream} has no leader for the moment"
            )  # any copy answered, maybe an old one
        state = info["state"]
        return StreamState(
            messages=state["messages"],
            bytes=state["bytes"],
            first_sequence=state["first_seq"],
            last_sequence=state["last_seq"],
        )

    async def storage(self) -> Storage:
        info = await self._api("INFO")
        tier = (info.get("tiers") or {}).get(f"R{self._settings.replicas}", info)  # accounts may be limited by replicas
        limit = tier.get("limits", {}).get("max_storage", -1)
        return Storage(used=tier["storage"], limit=limit if limit > 0 else None)

    async def server_time(self) -> float:
        stated = (await self._api(f"STREAM.INFO.KV_{streams.THROTTLE}"))["ts"]  # by the stream's leader (since 2.10)
        return datetime.fromisoformat(stated).timestamp()

    async def count_by_subject(self, stream: str, filter_subject: str) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        while True:
            info = await self._api(f"STREAM.INFO.{stream}", {"subjects_filter": filter_subject, "offset": len(counts)})
            page: dict[str, int] = info["state"].get("subjects") or {}
            counts |= page
            if not page or len(counts) >= info.get("total", 0):
                return counts

    async def purge(self, stream: str, filter_subject: str, *, up_to: int | None = None) -> int:
        wanted: dict[str, Any] = {"filter": filter_subject}
        if up_to is not None:
            if up_to < 1:  # the server takes `seq: 0` for no limit
                return 0
            wanted["seq"] = up_to + 1
        answer = await self._api(f"STREAM.PURGE.{stream}", wanted)
        return int(answer["purged"])

    async def publish(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        return await self._publisher.publish(stream, messages)

    async def append(self, stream: str, messages: Sequence[Message]) -> None:
        await self._publisher.publish(stream, messages, telling=False)

    async def replace(self, stream: str, messages: Sequence[Message], sequences: Sequence[int]) -> list[int]:
        return await self._publisher.replace(stream, messages, sequences)

    async def delete(self, stream: str, sequences: Sequence[int]) -> list[bool]:
        return await self._publisher.delete(stream, sequences)

    async def read(
        self, stream: str, filter_subject: str, *, from_sequence: int = 1, follow: bool = False
    ) -> AsyncIterator[Record]:
        reading = (
            nats_reading.follow(self._client, stream, filter_subject, from_sequence, surely=True)
            if follow
            else nats_reading.read(self._client, stream, filter_subject, from_sequence)
        )
        async with contextlib.aclosing(reading):
            async for record, _ in reading:
                yield record

    async def read_range(self, stream: str, first: int, last: int) -> list[Passage]:
        found = await nats_ranges.read(self._client, stream, first, last)
        if len(found) < last - first + 1:
            state = (await self._api(f"STREAM.INFO.{stream}", {"deleted_details": True}))["state"]
            if lacking := nats_ranges.lacking(found, first, last, state):
                raise errors.BusUnavailable(
                    f"the copy of {stream} that answered does not have message {lacking[0]} yet"
                )
        return found

    # Archives

    async def archive(self, stream: str, write: Callable[[bytes], object]) -> nats_archive.Archived:
        """As `nats_archive.take`. Streams go by the names that NATS has for them."""
        return await nats_archive.take(self._client, stream, write)

    async def restore(self, archived: nats_archive.Archived, chunks: Iterable[bytes]) -> None:
        """As `nats_archive.put_back`."""
        await nats_archive.put_back(self._client, archived, chunks)

    def stream_names(self) -> list[str]:
        """Of all streams of this release, those behind buckets and stores included."""
        return [config["name"] for _, config in self._wanted()]

    # Buckets and blobs

    async def bucket(self, name: str) -> NatsBucket:
        await self._require(streams.stream_of_bucket(name))
        return NatsBucket(self._client, name)

    async def blobs(self, store: str = streams.BLOBS) -> NatsBlobs:
        await self._require(streams.stream_of_store(store))
        return NatsBlobs(self._client, store)

    async def _require(self, stream: str) -> None:
        """Raises `StreamMissing`. Asked once: streams stay."""
        if stream not in self._found:
            await self._api(f"STREAM.INFO.{stream}")
            self._found.add(stream)

    async def close(self) -> None:
        for consumer in list(self._consumers):
            await consumer.close()
        await self._client.close()

    async def _api(self, endpoint: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        payload = b"" if body is None else json.dumps(body).encode()
        answer = await self._client.ask(f"$JS.API.{endpoint}", payload, REQUEST_TIMEOUT_SECONDS)
        return result_of(answer, endpoint)


async def _give_up(client: WireClient) -> None:
    with contextlib.suppress(Exception):
        await client.close()
