"""The streams, buckets and consumers, as data. `Bus.setup` makes the server agree with them.

Why they are as they are: docs/decisions/0002-streams.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from events import providers, subjects
from events.schemas import PRIORITIES, Priority

ACK_WAIT_SECONDS: Final = 60.0
"""After this long without an acknowledgement the server assumes that the worker died. Stays above every SMTP timeout."""

DEDUPLICATION_SECONDS: Final = 180.0
"""How long the server remembers message ids: three times the ack-wait, so that a redelivered mail always meets its claim."""


class Timing(msgspec.Struct, frozen=True):
    """How long the silence of a worker is borne. Everything follows from the ack-wait, and every process must use the same."""

    ack_wait_seconds: float = ACK_WAIT_SECONDS

    @property
    def deduplication_seconds(self) -> float:
        return self.ack_wait_seconds * DEDUPLICATION_SECONDS / ACK_WAIT_SECONDS

    @property
    def remembered_seconds(self) -> float:
        """What is younger by our clock is remembered by the server: a third of the window is for clocks that differ."""
        return self.deduplication_seconds * 2 / 3

    @property
    def hold_seconds(self) -> float:
        """A hold older than this counts as lapsed: the rest (5 s of 60) is for clocks and for the way to the server."""
        return self.ack_wait_seconds * 11 / 12

    @property
    def extend_after_seconds(self) -> float:
        """A hold that is older is extended; early enough to try twice more before it lapses."""
        return self.ack_wait_seconds / 3


HIGH_WATER: Final = 0.85
"""Above this share of its limit the store counts as nearly full: what is left belongs to senders, who need it to claim, to state
outcomes and to schedule retries. So splitter and producers wait."""

URGENT_HIGH_WATER: Final = 0.9
"""The same for urgent campaigns: they go first, and must not wait until a large one has made room."""

MAX_DELIVERIES: Final = 5
"""A mail delivered this often without any outcome kills its workers, and goes to the DLQ."""

BATCH_SIZE: Final = 50_000
"""Recipients in a batch, at most."""

ATOMIC_BATCH: Final = 500
"""Messages published together: in one atomic batch, of which the server allows 1,000 (ADR-50), or singly in one write."""


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    subjects: tuple[str, ...]
    retention: Literal["workqueue", "limits"]
    max_age_seconds: float = 0
    """0: for ever."""
    max_messages: int = -1
    schedules: bool = False
    """Messages may carry a due time (ADR-51)."""
    description: str


class ConsumerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer whose messages are acknowledged one by one. Never with BackOff: it
    overrides the ack-wait."""

    stream: str
    name: str
    filter_subject: str
    ack_wait_seconds: float | None = None
    """None: that of the bus (`Timing`)."""
    max_deliveries: int = -1
    max_ack_pending: int = 5_000
    also: tuple[str, ...] = ()
    """Further filters; none may overlap with another."""


_DAY: Final = 86_400.0

BATCHES: Final = StreamSpec(
    name="BATCHES",
    subjects=(subjects.BATCHES,),
    retention="workqueue",
    description="Batches of recipients waiting for a producer",
)
MAIL: Final = StreamSpec(
    name="MAIL",
    subjects=(subjects.MAIL_DUE, subjects.MAIL_WAITING),
    retention="workqueue",
    schedules=True,
    description="One message per mail: due now, or waiting for a scheduled retry. Nothing here ever expires",
)
CLAIMS: Final = StreamSpec(
    name="CLAIMS",
    subjects=(subjects.CLAIMS,),
    retention="limits",
    max_age_seconds=DEDUPLICATION_SECONDS,  # longer where the bus remembers ids for longer
    description="Attempts about to be made; the duplicate check is the claim",
)
JOURNAL: Final = StreamSpec(
    name="JOURNAL",
    subjects=(subjects.JOURNAL,),
    retention="limits",
    max_age_seconds=30 * _DAY,
    description="What was claimed, many attempts a message: evidence for when the server has forgotten a claim",
)
EVENTS: Final = StreamSpec(
    name="EVENTS",
    subjects=(subjects.EVENTS,),
    retention="limits",
    max_age_seconds=30 * _DAY,
    description="What happened: the source of truth for the ledger and for analytics",
)
DLQ: Final = StreamSpec(
    name="DLQ",
    subjects=(subjects.DLQ,),
    retention="limits",
    max_age_seconds=30 * _DAY,
    description="Mails that were given up, with their history",
)
ADVISORIES: Final = StreamSpec(
    name="ADVISORIES",
    subjects=(subjects.MAX_DELIVERIES,),
    retention="workqueue",
    description="Mails that were delivered as often as is allowed, until a sender has moved them to the DLQ",
)
SUPPRESSION: Final = StreamSpec(
    name="SUPPRESSION",
    subjects=(subjects.SUPPRESSION,),
    retention="limits",
    description="Who gets no mail any more, and who does again. `jetpost suppression compact` keeps it short",
)
CALLBACKS: Final = StreamSpec(
    name="CALLBACKS",
    subjects=(subjects.CALLBACKS,),
    retention="limits",
    max_age_seconds=7 * _DAY,
    description="What ESPs told, as it came",
)
STREAMS: Final = (BATCHES, MAIL, CLAIMS, JOURNAL, EVENTS, DLQ, ADVISORIES, SUPPRESSION, CALLBACKS)

CAMPAIGNS: Final = "campaigns"
BREAKER: Final = "breaker"
WARMUP: Final = "warmup"
PROGRESS: Final = "progress"
INGEST: Final = "ingest"
PREFERENCES: Final = "preferences"
THROTTLE: Final = "throttle"
SENDERS: Final = "senders"
BUCKETS: Final = (CAMPAIGNS, BREAKER, WARMUP, PROGRESS, INGEST, PREFERENCES, THROTTLE, SENDERS)
"""Key-value buckets: campaigns by id · how their lanes do · how far lanes are warmed up · checkpoints of splitter and producers
· ranges that the ingester has cut, and how many senders are wanted · who does not want to be tracked · what senders share about
limits · which senders work."""

BUCKET_AGES: Final[Mapping[str, float]] = {SENDERS: 60.0}
"""Buckets whose entries are gone after so many seconds without another; those of the others stay."""

BLOBS: Final = "blobs"
LINKS: Final = "links"
STORES: Final = (BLOBS, LINKS)
"""Object stores: compiled campaigns, dictionaries, recipients of batches · where the links in mails lead, which the public door
must read without reading those."""


def stream_of_bucket(bucket: str) -> str:
    """The name of the stream behind it (ADR-8)."""
    return f"KV_{bucket}"


def stream_of_store(store: str) -> str:
    """The name of the stream behind it (ADR-20)."""
    return f"OBJ_{store}"


PRODUCER: Final = ConsumerSpec(
    stream="BATCHES",
    name="producer",
    filter_subject=subjects.batches_of_class("normal"),
    max_ack_pending=256,
)
PRODUCERS: Final[Mapping[Priority, ConsumerSpec]] = {
    priority: PRODUCER
    if priority == "normal"
    else ConsumerSpec(
        stream=PRODUCER.stream,
        name=f"{PRODUCER.name}-{priority}",
        filter_subject=subjects.batches_of_class(priority),
        max_ack_pending=PRODUCER.max_ack_pending,
    )
    for priority in PRIORITIES
}
"""One for each class of campaigns, so that producers get to urgent batches however many others lie before them."""

POISON: Final = ConsumerSpec(
    stream="ADVISORIES",
    name="poison",
    filter_subject=subjects.MAX_DELIVERIES,
    max_ack_pending=100,
)
WAITING: Final = ConsumerSpec(
    stream="MAIL",
    name="waiting",
    filter_subject=subjects.MAIL_WAITING,
)
"""Counts the retries that wait for their time, and is never fetched from: its `ConsumerState.waiting` costs the server the
same whatever the number, and follows what is scheduled, fires and is purged. `count_by_subject` would list every one."""

WISHES: Final = ConsumerSpec(
    stream="EVENTS",
    name="wishes",
    filter_subject=subjects.event("unsubscribed", "*"),
    also=tuple(subjects.event(kind, "*") for kind in ("resubscribed", "complained", "returned", "tracking_changed")),
    max_ack_pending=10_000,
)
"""What recipients asked for and what came back, which `analytics.wishes` carries out."""

HEARING: Final = ConsumerSpec(
    stream="CALLBACKS",
    name="hearing",
    filter_subject=subjects.CALLBACKS_NEW,
    max_ack_pending=5_000,
)
"""What ESPs told and `analytics.hearing` has not understood yet."""

CONSUMERS: Final = (PRODUCER, PRODUCERS["urgent"], PRODUCERS["low"], POISON, WAITING, WISHES, HEARING)
"""The consumers that exist as long as the streams do; those of the lanes come and go with their campaigns. The one for normal
batches comes first: in stores of earlier releases it has all of them, and no two of a work queue may want the same."""


def lane(campaign: str, pool: str, provider: str) -> ConsumerSpec:
    """The consumer of one campaign's mails in one lane (pool × mailbox provider)."""
    return ConsumerSpec(
        stream="MAIL",
        name=lane_name(campaign, pool, provider),
        filter_subject=subjects.mail_due(pool, provider, campaign),
        max_deliveries=MAX_DELIVERIES,
    )


def lane_name(campaign: str, pool: str, provider: str) -> str:
    return f"{campaign}--{pool}--{provider}"


def lanes(campaign: str, pool: str) -> tuple[ConsumerSpec, ...]:
    """The consumers of a campaign: one for each mailbox provider."""
    return tuple(lane(campaign, pool, provider) for provider in providers.PROVIDERS)
