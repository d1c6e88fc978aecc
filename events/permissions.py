"""Who may do what on NATS: each component is a user of its own, which may do what its code does, and no more. Data.

Inside are those who handle mails anyway; they share the account that has JetStream. Who faces strangers (what recipients see,
where ESPs call, where bounces come in) is outside: an account of its own without JetStream, into which the inside exports single
subjects. Permissions alone would not hold them: the server sends an answer wherever the question says, so whoever may store a
message in one stream and read it there can have it delivered to any other, such as MAIL
(docs/decisions/0022-nats-users.md).

`jetpost permissions` makes a configuration of nats-server from this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from events import streams, subjects
from events.streams import ConsumerSpec, StreamSpec

INSIDE: Final = "jetpost"
"""The account that has JetStream."""

REACTIONS: Final = ("clicked", "opened", "resubscribed", "tracking_changed", "unsubscribed")
"""What recipients do at the public door, as events call it."""


class Grant(NamedTuple):
    """What it takes to do one thing."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    batched: tuple[str, ...] = ()
    """Requests that have many answers; each stands in `publish`, too."""


class Component(msgspec.Struct, frozen=True):
    """One user of NATS."""

    name: str
    account: str
    grants: tuple[Grant, ...]

    @property
    def publish(self) -> list[str]:
        """Subjects that it may publish to, requests included."""
        return sorted({subject for grant in self.grants for subject in grant.publish})

    @property
    def subscribe(self) -> list[str]:
        """Subjects that it may subscribe to, beside its inbox."""
        return sorted({subject for grant in self.grants for subject in grant.subscribe})

    @property
    def looks_at(self) -> frozenset[str]:
        """The streams that it may ask about, by the names that NATS has for them: those that it needs."""
        asked = "$JS.API.STREAM.INFO."
        return frozenset(subject.removeprefix(asked) for subject in self.publish if subject.startswith(asked))

    @property
    def batched(self) -> frozenset[str]:
        return frozenset(subject for grant in self.grants for subject in grant.batched)

    @property
    def inbox(self) -> str:
        """Where answers to its own requests come in, and nobody else's."""
        return f"{inbox_prefix(self.name)}.>"


def inbox_prefix(user: str) -> str:
    """With what the inboxes of a user begin; of one without a name as everybody's do."""
    return f"_INBOX_{user}" if user else "_INBOX"


def _api(endpoint: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"$JS.API.{endpoint}.{name}" for name in names)


def _state(*names: str) -> Grant:
    """How much lies in streams, and under which subjects."""
    return Grant(_api("STREAM.INFO", names))


def _read(*names: str) -> Grant:
    """Pages of what lies in streams (ADR-31)."""
    pages = _api("DIRECT.GET", names)
    return Grant(pages, batched=pages)


def _follow(*filters: str) -> Grant:
    """Hear of new messages when they are published."""
    return Grant(subscribe=filters)


def _append(*written: str) -> Grant:
    return Grant(written)


def _recognise(*written: StreamSpec) -> Grant:
    """After a lost connection, tell messages of one's own from those of others: `Stored.duplicate`."""
    return Grant(_api("STREAM.MSG.GET", (stream.name for stream in written)))


def _purge(*names: str) -> Grant:
    return Grant(_api("STREAM.PURGE", names))


def _delete(*emptied: StreamSpec) -> Grant:
    return Grant(_api("STREAM.MSG.DELETE", (stream.name for stream in emptied)))


def _consume(stream: str, *names: str) -> Grant:
    """Take messages from consumers that exist. In acknowledgements a domain and an account may precede the stream (ADR-15)."""
    asked = (endpoint for name in names for endpoint in _api("CONSUMER.MSG.NEXT", [f"{stream}.{name}"]))
    acknowledged = (f"$JS.ACK.{place}{stream}.{name}.>" for name in names for place in ("", "*.*."))
    return Grant((*asked, *acknowledged))


def _consume_of(*specs: ConsumerSpec) -> tuple[Grant, ...]:
    return tuple(_consume(spec.stream, spec.name) for spec in specs)


def _look_at_consumers(*names: str) -> Grant:
    return Grant(_api("CONSUMER.INFO", (f"{name}.*" for name in names)))


def _archive(*names: str) -> Grant:
    """Write streams to a backup and make them from one, which takes all mails that there are: not for everybody."""
    return Grant(
        (
            *_api("STREAM.SNAPSHOT", names),
            *_api("STREAM.RESTORE", names),
            *(f"$JS.SNAPSHOT.ACK.{name}.*" for name in names),
            *(f"$JS.SNAPSHOT.RESTORE.{name}.*" for name in names),
        )
    )


def _make_consumers(*names: str) -> Grant:
    """Make and delete consumers, whatever they are called."""
    return Grant(
        (
            *_api("CONSUMER.DURABLE.CREATE", (f"{name}.*" for name in names)),
            *_api("CONSUMER.DELETE", (f"{name}.*" for name in names)),
        )
    )


_ROOM: Final = Grant(("$JS.API.INFO",))
"""How full the store is. An account without JetStream must import this, or the server itself answers to all of its API that it
is not enabled."""


def _get_from(*buckets: str) -> Grant:
    """Single values, by their keys."""
    return Grant(
        tuple(f"$JS.API.DIRECT.GET.{streams.stream_of_bucket(name)}.{subjects.keys_of(name)}" for name in buckets)
    )


def _list(*buckets: str) -> Grant:
    """All keys and values."""
    return _read(*map(streams.stream_of_bucket, buckets))


def _watch(*buckets: str) -> Grant:
    """All keys and values, and their changes."""
    return _list(*buckets)._replace(subscribe=tuple(map(subjects.keys_of, buckets)))


def _change(*buckets: str) -> Grant:
    """Write a value where it is still as it was read."""
    return Grant((*_get_from(*buckets).publish, *map(subjects.keys_of, buckets)))


def _fetch_from(*stores: str) -> Grant:
    """What is known of an object comes from the stream's leader, its bytes from whoever has them."""
    names = tuple(map(streams.stream_of_store, stores))
    read = _read(*names)
    return read._replace(publish=(*read.publish, *_api("STREAM.MSG.GET", names)))


def _put_into(*stores: str) -> Grant:
    """Put and delete: what was there before is purged."""
    names = tuple(map(streams.stream_of_store, stores))
    written = (subject for store in stores for subject in subjects.contents_of(store))
    return Grant((*written, *_api("STREAM.MSG.GET", names), *_purge(*names).publish))


ALL_STREAMS: Final = (
    *(stream.name for stream in streams.STREAMS),
    *map(streams.stream_of_bucket, streams.BUCKETS),
    *map(streams.stream_of_store, streams.STORES),
)
"""By the names that NATS has for them."""

_SUPPRESSION_LIST: Final = (_read(streams.SUPPRESSION.name), _follow(subjects.SUPPRESSION))
_HEALTH: Final = (_state(*ALL_STREAMS), _ROOM)
"""What every process inside may know: its probes ask whether everything is there."""

_PUBLIC: Final = (
    _append(*(subjects.event(kind, "*") for kind in REACTIONS), subjects.CALLBACKS_NEW, subjects.CALLBACKS_PARTS),
    _get_from(streams.CAMPAIGNS),
    _watch(streams.PREFERENCES),
    _fetch_from(streams.LINKS),
    _state(
        streams.EVENTS.name,
        streams.CALLBACKS.name,
        *map(streams.stream_of_bucket, (streams.CAMPAIGNS, streams.PREFERENCES)),
        streams.stream_of_store(streams.LINKS),
    ),
    _ROOM,
)

PRODUCER: Final = Component(
    "producer",
    INSIDE,
    (
        *_HEALTH,
        *_SUPPRESSION_LIST,
        *_consume_of(*streams.PRODUCERS.values()),
        _look_at_consumers(streams.BATCHES.name, streams.MAIL.name),
        _append(subjects.MAIL_DUE, subjects.EVENTS),
        _recognise(streams.MAIL, streams.EVENTS),
        _read(streams.MAIL.name, streams.EVENTS.name),
        _purge(streams.MAIL.name),
        _get_from(streams.CAMPAIGNS),
        _watch(streams.CAMPAIGNS),
        _list(streams.PREFERENCES),
        _change(streams.PROGRESS),
        _fetch_from(streams.BLOBS),
    ),
)
SENDER: Final = Component(
    "sender",
    INSIDE,
    (
        *_HEALTH,
        *_SUPPRESSION_LIST,
        _consume(streams.MAIL.name, "*"),
        *_consume_of(streams.POISON),
        _look_at_consumers(streams.MAIL.name, streams.ADVISORIES.name),
        _append(
            subjects.MAIL_WAITING,
            subjects.CLAIMS,
            subjects.JOURNAL,
            subjects.EVENTS,
            subjects.DLQ,
            subjects.SUPPRESSION,
        ),
        _recognise(streams.MAIL, streams.CLAIMS, streams.JOURNAL, streams.EVENTS, streams.DLQ, streams.SUPPRESSION),
        _read(streams.MAIL.name, streams.CLAIMS.name, streams.JOURNAL.name, streams.EVENTS.name),
        _delete(streams.MAIL),
        _watch(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.THROTTLE),
        _change(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.THROTTLE, streams.SENDERS),
        _fetch_from(streams.BLOBS),
    ),
)
INGESTER: Final = Component(
    "ingester",
    INSIDE,
    (
        *_HEALTH,
        *_consume_of(streams.INGESTER, streams.WISHES, streams.HEARING),
        _look_at_consumers(streams.EVENTS.name, streams.CALLBACKS.name, streams.MAIL.name),
        _make_consumers(streams.MAIL.name),
        _append(subjects.EVENTS, subjects.SUPPRESSION, subjects.CALLBACKS_PARKED),
        _recognise(streams.EVENTS, streams.SUPPRESSION, streams.CALLBACKS),
        _read(
            streams.EVENTS.name, streams.SUPPRESSION.name, streams.CALLBACKS.name, streams.MAIL.name, streams.DLQ.name
        ),
        _delete(streams.MAIL, streams.DLQ, streams.CALLBACKS),
        _purge(streams.CALLBACKS.name),
        _list(streams.CAMPAIGNS, streams.BREAKER, streams.THROTTLE, streams.SENDERS),
        _change(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.INGEST, streams.PREFERENCES),
        _fetch_from(streams.BLOBS, streams.LINKS),
        _put_into(streams.BLOBS),
    ),
)
WEB: Final = Component(
    "web",
    INSIDE,
    (
        *_HEALTH,
        *_PUBLIC,
        _look_at_consumers(streams.EVENTS.name, streams.MAIL.name),
        _append(subjects.EVENTS),
        _recognise(streams.EVENTS),
        _purge(streams.MAIL.name),
        _list(streams.CAMPAIGNS, streams.BREAKER, streams.THROTTLE),
        _get_from(streams.INGEST),
        _change(streams.CAMPAIGNS, streams.BREAKER),
    ),
)
PUBLIC: Final = Component("public", "jetpost-public", _PUBLIC)
BOUNCES: Final = Component(
    "bounces",
    "jetpost-bounces",
    (
        _append(subjects.CALLBACKS_NEW),
        _list(streams.CAMPAIGNS),
        _state(streams.CALLBACKS.name, streams.stream_of_bucket(streams.CAMPAIGNS)),
        _ROOM,
    ),
)
SETUP: Final = Component(
    "setup",
    INSIDE,
    (
        *_HEALTH,
        Grant((*_api("STREAM.CREATE", ALL_STREAMS), *_api("STREAM.UPDATE", ALL_STREAMS))),
        _look_at_consumers(*ALL_STREAMS),
        _make_consumers(*ALL_STREAMS),
        _list(streams.CAMPAIGNS),
        _change(streams.CAMPAIGNS),
        _archive(*ALL_STREAMS),
        _fetch_from(*streams.STORES),
        _put_into(streams.LINKS),
    ),
)
OPERATOR: Final = Component(
    "operator",
    INSIDE,
    (
        *_HEALTH,
        *_SUPPRESSION_LIST,
        _look_at_consumers(streams.BATCHES.name, streams.MAIL.name, streams.EVENTS.name, streams.CALLBACKS.name),
        _make_consumers(streams.MAIL.name),
        _append(
            subjects.BATCHES,
            subjects.MAIL_DUE,
            subjects.MAIL_WAITING,
            subjects.EVENTS,
            subjects.DLQ,
            subjects.SUPPRESSION,
            subjects.CALLBACKS_NEW,
        ),
        _recognise(streams.BATCHES, streams.MAIL, streams.EVENTS, streams.DLQ, streams.SUPPRESSION, streams.CALLBACKS),
        _read(*(stream.name for stream in streams.STREAMS)),
        _delete(streams.BATCHES, streams.MAIL, streams.DLQ),
        _purge(streams.MAIL.name, streams.SUPPRESSION.name),
        _list(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.THROTTLE, streams.PREFERENCES),
        _change(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.PROGRESS, streams.THROTTLE, streams.INGEST),
        _fetch_from(*streams.STORES),
        _put_into(*streams.STORES),
    ),
)
COMPONENTS: Final = (PRODUCER, SENDER, INGESTER, WEB, PUBLIC, BOUNCES, SETUP, OPERATOR)
NAMED: Final = {component.name: component for component in COMPONENTS}


def together(one: Component, other: Component) -> tuple[Component, ...]:
    """All components where `one` does the work of `other`, too, which then is no user of its own."""
    both = msgspec.structs.replace(one, grants=(*one.grants, *other.grants))
    return tuple(both if component is one else component for component in COMPONENTS if component is not other)
