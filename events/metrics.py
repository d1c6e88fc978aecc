"""Every Prometheus metric, named and explained once. Processes expose those that they move (docs/metrics.md)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram


class BulkHistogram(Histogram):
    """One that takes many values at a time, for little more than it costs to take one."""

    def observe_all(self, values: Sequence[float]) -> None:
        """The same as `observe` for each."""
        ordered = sorted(values)
        self._sum.inc(sum(ordered))
        counted = 0
        for bucket, bound in zip(self._buckets, self._upper_bounds, strict=True):
            upto = bisect_right(ordered, bound)
            if upto > counted:
                bucket.inc(upto - counted)
                counted = upto


Labels = TypeVar("Labels", bound=tuple[str, ...])

_shown: dict[Gauge, set[tuple[str, ...]]] = {}
"""The labels that are shown, of gauges that are replaced as a whole."""


def replace_all(gauge: Gauge, values: Mapping[Labels, float]) -> None:
    """Show these values, by labels, and none of those before. What is new comes before what is old goes: another thread answers
    who asks meanwhile, and must not find nothing."""
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    for gone in _shown.get(gauge, set()) - values.keys():
        gauge.remove(*gone)
    _shown[gauge] = set(values)


EMAILS_SENT = Counter(
    "emails_sent",
    "Mails that the next server accepted",
    ["pool", "provider"],
)
EMAILS_NOT_SENT = Counter(
    "emails_not_sent",
    "Attempts that did not end in acceptance, by outcome (deferred, bounced, failed, expired, suppressed, in_doubt) and class",
    ["pool", "provider", "outcome", "failure_class"],
)
EMAILS_SIGNED = Counter(
    "emails_signed", "Mails signed with DKIM, in all attempts, by the domain that signs", ["domain"]
)
DELIVERY_LATENCY_SECONDS = BulkHistogram(
    "delivery_latency_seconds",
    "From queued to accepted by the next server",
    ["pool", "provider"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400),
)
SMTP_TRANSACTION_SECONDS = Histogram(
    "smtp_transaction_seconds",
    "From MAIL FROM to the final reply, per batch of pipelined mails",
    ["pool"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SENDER_ERRORS = Counter(
    "sender_errors",
    "Failures that a sender survived by trying again, by the step that failed"
    " (watch, feed, extend, connect, send, record, poison, suppression)",
    ["step"],
)
STEPS_WAITING = Gauge(
    "steps_waiting",
    "1 while a step waits for what it needs (NATS, room in it, ClickHouse, a relay, a mailbox); the log says why",
    ["step"],
)
THROTTLE_TOKENS = Counter(
    "throttle_tokens",
    "Mails that a limit allowed, `spent` or `lapsed` unused, by limit: `<pool>`, `<pool>.<provider>`, `campaign=<id>`",
    ["limit", "result"],
)
THROTTLE_WAITED_SECONDS = Counter(
    "throttle_waited_seconds",
    "Time during which mails waited for a limit, by why (rate, daily, paused)",
    ["limit", "why"],
)
THROTTLE_SHUT = Gauge(
    "throttle_shut",
    "1 while a limit lets nothing pass, by why: the day's mails are used up (daily), the provider asked for a pause (paused)",
    ["limit", "why"],
)
LANE_RATE_LIMIT = Gauge(
    "lane_rate_limit",
    "Mails per second that a lane may send at present, in all senders, by what is configured and what its provider bears;"
    " infinite where there is no limit. Shown from the first objection on; without provider: of the whole pool",
    ["pool", "provider"],
)
LANE_CONNECTION_LIMIT = Gauge("lane_connection_limit", "The same for connections at a time", ["pool", "provider"])
LANE_PAUSED_SECONDS = Gauge(
    "lane_paused_seconds",
    "How much longer a lane is paused because its provider said when to try again; 0: it is not",
    ["pool", "provider"],
)
LANE_OBJECTIONS = Counter(
    "lane_objections",
    "What providers objected to and this sender told the others: rate (the lane slows down), pause, connections",
    ["pool", "provider", "kind"],
)
SMTP_CONNECTIONS = Gauge("smtp_connections", "Open SMTP connections", ["pool"])
LANES_MOVED = Counter(
    "lanes_moved",
    "Lanes that went on through another pool of their route, because the one before was down or used up, or is back",
    ["from_pool", "to_pool", "provider"],
)
MAILS_QUEUED = Counter("mails_queued", "Mails rendered and stored in the queue", ["campaign"])
SUPPRESSION_ENTRIES = Gauge(
    "suppression_entries", "Entries of the suppression list that the sender knows, expired ones included"
)
MAILS_SUPPRESSED = Counter("mails_suppressed", "Recipients for whom no mail was queued: suppressed", ["campaign"])
PRODUCER_ERRORS = Counter("producer_errors", "Batches that failed for a reason other than the bus and are tried again")
MAILS_UNRENDERABLE = Counter("mails_unrenderable", "Recipients whose mail could not be rendered", ["campaign"])
QUEUED_BYTES = Counter("queued_bytes", "Bytes of queued mails, `raw` as messages and `stored` as compressed", ["form"])
QUEUE_DEPTH = Gauge(
    "queue_depth",
    "Mails due and not yet settled, by lane; without those of campaigns that are paused or wait for their start",
    ["pool", "provider"],
)
BREAKERS_OPEN = Gauge(
    "breakers_open",
    "1 while the circuit breaker stops a lane of a campaign; without pool and provider: the whole campaign",
    ["campaign", "pool", "provider"],
)
WARMUP_ALLOWANCE = Gauge(
    "warmup_allowance_mails",
    "Mails that a lane which is being warmed up may send today, those sent already included; infinite once it is warm",
    ["pool", "provider"],
)
RETRY_QUEUE_SIZE = Gauge("retry_queue_size", "Mails waiting for a scheduled retry")
DLQ_SIZE = Gauge("dlq_size", "Mails in the dead-letter queue, which wait for a decision, by class", ["failure_class"])
BATCHES_WAITING = Gauge("batches_waiting", "Batches that no producer has finished")
CAMPAIGNS_SCHEDULED = Gauge("campaigns_scheduled", "Campaigns that wait for their start")
CAMPAIGNS_PAUSED = Gauge(
    "campaigns_paused",
    "Paused campaigns, by why: by a person, or by the system, such as past_due: nobody was there for its start."
    " All but those of persons wait for somebody to decide",
    ["reason"],
)
INGEST_LAG_EVENTS = Gauge("ingest_lag_events", "Events stored on the bus and not yet in ClickHouse")
SENDERS_WANTED = Gauge(
    "senders_wanted",
    "Sender processes that are needed so that every campaign is done in time; one series, whose `reason` says what decided (idle,"
    " deadline, queue, provider_limited, at_max, cooldown). None before it is known, and where it cannot be worked out any more",
    ["reason"],
)
SENDERS_ALIVE = Gauge("senders_alive", "Sender processes that have said within the last seconds that they work")
SENDER_CAPACITY = Gauge(
    "sender_capacity_mails_per_second",
    "What one sender sends through a pool while it has as much to do as it can: measured, or as the settings say",
    ["pool"],
)
CAMPAIGN_DEADLINE_RISK = Gauge(
    "campaign_deadline_risk_seconds",
    "How much too late the last mail of a campaign will have been tried, as it looks now; 0: in time. Infinite where something"
    " stops its mails for good",
    ["campaign"],
)
SENDING_LIMITED = Gauge(
    "sending_limited",
    "1 while more senders would not help a campaign that is going to be late, by what limits it: `<pool>.<provider>`, `<pool>`,"
    " `campaign=<id>`, `producers`",
    ["by"],
)
STORE_USED_BYTES = Gauge("store_used_bytes", "What JetStream holds: queues, events, blobs")
STORE_LIMIT_BYTES = Gauge(
    "store_limit_bytes",
    "What JetStream may hold; above 85 % of it producers wait. Infinite where the server does not say",
)
EVENTS_INGESTED = Counter("events_ingested", "Events inserted into ClickHouse")
EVENTS_REJECTED = Counter("events_rejected", "Events that could not be read; ClickHouse keeps them in rejected_events")
INGEST_INSERT_SECONDS = Histogram("ingest_insert_seconds", "One insert into ClickHouse")
REACTIONS_LOST = Counter(
    "reactions_lost",
    "Clicks, opens and wishes of recipients that NATS did not take before the web app ended, or that were too many",
)
WISHES_WAITING = Gauge(
    "wishes_waiting", "Wishes of recipients (unsubscribing and the like) that are not carried out yet"
)
CALLBACKS = Counter(
    "callbacks",
    "Requests of ESPs, by endpoint and answer (200 stored, 400 junk, 401 not who they claim to be, 403 from elsewhere, 408 too"
    " slow, 413 too large, 503 NATS did not take it: the ESP sends it again)",
    ["endpoint", "answer"],
)
CALLBACK_EVENTS = Counter(
    "callback_events",
    "What ESPs told, event by event, by what came of it: `stated`, `repeated`, `silent` (nothing to count), `unknown_type`,"
    " `unknown_mail` (not one of ours), `unreadable`, `parked` (a callback that nobody understood; CALLBACKS keeps it)",
    ["esp", "event", "result"],
)
CALLBACKS_WAITING = Gauge("callbacks_waiting", "Requests of ESPs that are stored and not understood yet")
BOUNCE_MAILS = Counter(
    "bounce_mails",
    "Mails to return paths, by kind (bounce, complaint, auto_reply, delivered, unknown) and by what came of them: `kept`,"
    " `nothing` (it tells nothing to count), `not_ours` (nothing proves that it is about a mail of ours)",
    ["kind", "result"],
)
CONFIRMATIONS = Counter("callback_confirmations", "Amazon SNS subscriptions, `confirmed` or `failed`", ["result"])
HTTP_REQUEST_SECONDS = Histogram("http_request_seconds", "One request to the web app", ["route", "status"])
