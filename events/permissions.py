"""Who may do what on NATS: each component is a user of its own, which may do what its code does, and no more. Data.

Inside are those who handle mails anyway; they share the account that has JetStream. Who faces strangers (what recipients see,
where ESPs call, where bounces come in) is outside: an account of its own without JetStream, into which the inside exports single
subjects. Permissions alone would not hold them: the server sends an answer wherever the question says, so whoever may store a
message in one stream and read it there can have it delivered to any other, such as MAIL
(docs/decisions/0022-nats-users.md).

`jetpost permissions` makes a configuration of nats-server from this.
"""

from __future__ import annotations

from typing import Final

import msgspec

from events import grants as may
from events import streams, subjects
from events.grants import Grant

INSIDE: Final = "jetpost"
"""The account that has JetStream."""

REACTIONS: Final = ("clicked", "opened", "resubscribed", "tracking_changed", "unsubscribed")
"""What recipients do at the public door, as events call it."""


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


ALL_STREAMS: Final = (
    *(stream.name for stream in streams.STREAMS),
    *map(streams.stream_of_bucket, streams.BUCKETS),
    *map(streams.stream_of_store, streams.STORES),
)
"""By the names that NATS has for them."""

_SUPPRESSION_LIST: Final = (may.read(streams.SUPPRESSION.name), may.follow(subjects.SUPPRESSION))
_HEALTH: Final = (may.state(*ALL_STREAMS), may.ROOM)
"""What every process inside may know: its probes ask whether everything is there."""

_PUBLIC: Final = (
    may.append(*(subjects.event(kind, "*") for kind in REACTIONS), subjects.CALLBACKS_NEW, subjects.CALLBACKS_PARTS),
    may.glance_at(streams.CAMPAIGNS),
    may.watch(streams.PREFERENCES),
    may.fetch_from(streams.LINKS),
    may.state(
        streams.EVENTS.name,
        streams.CALLBACKS.name,
        *map(streams.stream_of_bucket, (streams.CAMPAIGNS, streams.PREFERENCES)),
        streams.stream_of_store(streams.LINKS),
    ),
    may.ROOM,
)

PRODUCER: Final = Component(
    "producer",
    INSIDE,
    (
        *_HEALTH,
        *_SUPPRESSION_LIST,
        *may.consume_of(*streams.PRODUCERS.values()),
        may.look_at_consumers(streams.BATCHES.name, streams.MAIL.name),
        may.append(subjects.MAIL_DUE, subjects.EVENTS),
        may.recognise(streams.MAIL, streams.EVENTS),
        may.read(streams.MAIL.name, streams.EVENTS.name),
        may.purge(streams.MAIL.name),
        may.get_from(streams.CAMPAIGNS),
        may.watch(streams.CAMPAIGNS),
        may.list_all(streams.PREFERENCES),
        may.change(streams.PROGRESS),
        may.fetch_from(streams.BLOBS),
    ),
)
SENDER: Final = Component(
    "sender",
    INSIDE,
    (
        *_HEALTH,
        *_SUPPRESSION_LIST,
        may.consume(streams.MAIL.name, "*"),
        *may.consume_of(streams.POISON),
        may.look_at_consumers(streams.MAIL.name, streams.ADVISORIES.name),
        may.append(
            subjects.MAIL_WAITING,
            subjects.CLAIMS,
            subjects.JOURNAL,
            subjects.EVENTS,
            subjects.DLQ,
            subjects.SUPPRESSION,
        ),
        may.recognise(streams.MAIL, streams.CLAIMS, streams.JOURNAL, streams.EVENTS, streams.DLQ, streams.SUPPRESSION),
        may.read(streams.MAIL.name, streams.CLAIMS.name, streams.JOURNAL.name, streams.EVENTS.name),
        may.delete(streams.MAIL),
        may.watch(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.THROTTLE),
        may.change(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.THROTTLE, streams.SENDERS),
        may.fetch_from(streams.BLOBS),
    ),
)
INGESTER: Final = Component(
    "ingester",
    INSIDE,
    (
        *_HEALTH,
        *may.consume_of(streams.WISHES, streams.HEARING),
        may.consume(streams.EVENTS.name, "ingester"),  # that of the release 0.1, which may run beside this one
        may.look_at_consumers(streams.EVENTS.name, streams.CALLBACKS.name, streams.MAIL.name),
        may.make_consumers(streams.MAIL.name),
        may.append(subjects.EVENTS, subjects.SUPPRESSION, subjects.CALLBACKS_PARKED),
        may.recognise(streams.EVENTS, streams.SUPPRESSION, streams.CALLBACKS),
        may.read(
            streams.EVENTS.name, streams.SUPPRESSION.name, streams.CALLBACKS.name, streams.MAIL.name, streams.DLQ.name
        ),
        may.delete(streams.MAIL, streams.DLQ, streams.CALLBACKS),
        may.purge(streams.CALLBACKS.name),
        may.list_all(streams.CAMPAIGNS, streams.BREAKER, streams.THROTTLE, streams.SENDERS),
        may.change(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.INGEST, streams.PREFERENCES),
        may.fetch_from(streams.BLOBS, streams.LINKS),
        may.put_into(streams.BLOBS),
    ),
)
WEB: Final = Component(
    "web",
    INSIDE,
    (
        *_HEALTH,
        *_PUBLIC,
        may.look_at_consumers(streams.EVENTS.name, streams.MAIL.name),
        may.append(subjects.EVENTS),
        may.recognise(streams.EVENTS),
        may.purge(streams.MAIL.name),
        may.list_all(streams.CAMPAIGNS, streams.BREAKER, streams.THROTTLE),
        may.get_from(streams.INGEST),
        may.change(streams.CAMPAIGNS, streams.BREAKER),
    ),
)
PUBLIC: Final = Component("public", "jetpost-public", _PUBLIC)
BOUNCES: Final = Component(
    "bounces",
    "jetpost-bounces",
    (
        may.append(subjects.CALLBACKS_NEW),
        may.list_all(streams.CAMPAIGNS),
        may.state(streams.CALLBACKS.name, streams.stream_of_bucket(streams.CAMPAIGNS)),
        may.ROOM,
    ),
)
SETUP: Final = Component(
    "setup",
    INSIDE,
    (
        *_HEALTH,
        may.make_streams(*ALL_STREAMS),
        may.look_at_consumers(*ALL_STREAMS),
        may.make_consumers(*ALL_STREAMS),
        may.list_all(streams.CAMPAIGNS),
        may.change(streams.CAMPAIGNS),
        may.archive(*ALL_STREAMS),
        may.fetch_from(*streams.STORES),
        may.put_into(streams.LINKS),
    ),
)
OPERATOR: Final = Component(
    "operator",
    INSIDE,
    (
        *_HEALTH,
        *_SUPPRESSION_LIST,
        may.look_at_consumers(streams.BATCHES.name, streams.MAIL.name, streams.EVENTS.name, streams.CALLBACKS.name),
        may.make_consumers(streams.MAIL.name),
        may.append(
            subjects.BATCHES,
            subjects.MAIL_DUE,
            subjects.MAIL_WAITING,
            subjects.EVENTS,
            subjects.DLQ,
            subjects.SUPPRESSION,
            subjects.CALLBACKS_NEW,
        ),
        may.recognise(
            streams.BATCHES, streams.MAIL, streams.EVENTS, streams.DLQ, streams.SUPPRESSION, streams.CALLBACKS
        ),
        may.read(*(stream.name for stream in streams.STREAMS)),
        may.delete(streams.BATCHES, streams.MAIL, streams.DLQ),
        may.purge(streams.MAIL.name, streams.SUPPRESSION.name),
        may.list_all(streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.THROTTLE, streams.PREFERENCES),
        may.change(
            streams.CAMPAIGNS, streams.BREAKER, streams.WARMUP, streams.PROGRESS, streams.THROTTLE, streams.INGEST
        ),
        may.fetch_from(*streams.STORES),
        may.put_into(*streams.STORES),
    ),
)
COMPONENTS: Final = (PRODUCER, SENDER, INGESTER, WEB, PUBLIC, BOUNCES, SETUP, OPERATOR)
NAMED: Final = {component.name: component for component in COMPONENTS}


def together(one: Component, other: Component) -> tuple[Component, ...]:
    """All components where `one` does the work of `other`, too, which then is no user of its own."""
    both = msgspec.structs.replace(one, grants=(*one.grants, *other.grants))
    return tuple(both if component is one else component for component in COMPONENTS if component is not other)
