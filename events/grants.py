"""What it takes on NATS to do something with a stream, a bucket or an object store: subjects of JetStream's API and of ours.

docs.nats.io, "JetStream wire API reference"; ADR-8 (buckets), ADR-20 (object stores), ADR-31 (direct get).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from events import streams, subjects
from events.streams import ConsumerSpec, StreamSpec


class Grant(NamedTuple):
    """What it takes to do one thing."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    batched: tuple[str, ...] = ()
    """Requests that have many answers; each stands in `publish`, too."""


def _api(endpoint: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"$JS.API.{endpoint}.{name}" for name in names)


def state(*names: str) -> Grant:
    """How much lies in streams, and under which subjects."""
    return Grant(_api("STREAM.INFO", names))


def read(*names: str) -> Grant:
    """Pages of what lies in streams (ADR-31), and whether the leader has more."""
    pages = _api("DIRECT.GET", names)
    return Grant((*pages, *_api("STREAM.MSG.GET", names)), batched=pages)


def follow(*filters: str) -> Grant:
    """Hear of new messages when they are published."""
    return Grant(subscribe=filters)


def append(*written: str) -> Grant:
    return Grant(written)


def recognise(*written: StreamSpec) -> Grant:
    """After a lost connection, tell messages of one's own from those of others: `Stored.duplicate`."""
    return Grant(_api("STREAM.MSG.GET", (stream.name for stream in written)))


def purge(*names: str) -> Grant:
    return Grant(_api("STREAM.PURGE", names))


def delete(*emptied: StreamSpec) -> Grant:
    return Grant(_api("STREAM.MSG.DELETE", (stream.name for stream in emptied)))


def consume(stream: str, *names: str) -> Grant:
    """Take messages from consumers that exist. In acknowledgements a domain and an account may precede the stream (ADR-15)."""
    asked = (endpoint for name in names for endpoint in _api("CONSUMER.MSG.NEXT", [f"{stream}.{name}"]))
    acknowledged = (f"$JS.ACK.{place}{stream}.{name}.>" for name in names for place in ("", "*.*."))
    return Grant((*asked, *acknowledged))


def consume_of(*specs: ConsumerSpec) -> tuple[Grant, ...]:
    return tuple(consume(spec.stream, spec.name) for spec in specs)


def look_at_consumers(*names: str) -> Grant:
    return Grant(_api("CONSUMER.INFO", (f"{name}.*" for name in names)))


def archive(*names: str) -> Grant:
    """Write streams to a backup and make them from one, which takes all mails that there are: not for everybody."""
    return Grant(
        (
            *_api("STREAM.SNAPSHOT", names),
            *_api("STREAM.RESTORE", names),
            *(f"$JS.SNAPSHOT.ACK.{name}.*" for name in names),
            *(f"$JS.SNAPSHOT.RESTORE.{name}.*" for name in names),
        )
    )


def make_streams(*names: str) -> Grant:
    """Make and change streams; to delete one is nobody's."""
    return Grant((*_api("STREAM.CREATE", names), *_api("STREAM.UPDATE", names)))


def make_consumers(*names: str) -> Grant:
    """Make and delete consumers, whatever they are called."""
    return Grant(
        (
            *_api("CONSUMER.DURABLE.CREATE", (f"{name}.*" for name in names)),
            *_api("CONSUMER.DELETE", (f"{name}.*" for name in names)),
        )
    )


ROOM: Final = Grant(("$JS.API.INFO",))
"""How full the store is. An account without JetStream must import this, or the server itself answers to all of its API that it
is not enabled."""


def get_from(*buckets: str) -> Grant:
    """Values, by their keys, as the leader has them."""
    return Grant(_api("STREAM.MSG.GET", map(streams.stream_of_bucket, buckets)))


def glance_at(*buckets: str) -> Grant:
    """Single values, by their keys, and nothing else: from any copy."""
    return Grant(
        tuple(f"$JS.API.DIRECT.GET.{streams.stream_of_bucket(name)}.{subjects.keys_of(name)}" for name in buckets)
    )


def list_all(*buckets: str) -> Grant:
    """All keys and values."""
    return read(*map(streams.stream_of_bucket, buckets))


def watch(*buckets: str) -> Grant:
    """All keys and values, and their changes."""
    return list_all(*buckets)._replace(subscribe=tuple(map(subjects.keys_of, buckets)))


def change(*buckets: str) -> Grant:
    """Write a value where it is still as it was read."""
    return Grant((*get_from(*buckets).publish, *map(subjects.keys_of, buckets)))


def fetch_from(*stores: str) -> Grant:
    """What is known of an object comes from the stream's leader, its bytes from whoever has them."""
    return read(*map(streams.stream_of_store, stores))


def put_into(*stores: str) -> Grant:
    """Put and delete: what was there before is purged."""
    names = tuple(map(streams.stream_of_store, stores))
    written = (subject for store in stores for subject in subjects.contents_of(store))
    return Grant((*written, *_api("STREAM.MSG.GET", names), *purge(*names).publish))
