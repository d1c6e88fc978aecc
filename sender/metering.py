"""Moves the metrics of mails by the facts that were stated about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from prometheus_client import Counter

from events import facts
from events.facts import EmailAccepted, EmailBounced, EmailDeferred, EmailFailed, MailFact
from events.metrics import DELIVERY_LATENCY_SECONDS, EMAILS_NOT_SENT, EMAILS_SENT, BulkHistogram


def count(stated: Iterable[MailFact]) -> None:
    """Call once for each fact that was stored."""
    accepted: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for fact in stated:
        if isinstance(fact, EmailAccepted):
            accepted[fact.pool, fact.provider].append(fact.latency_seconds)
        else:
            _not_sent(fact.pool, fact.provider, facts.type_of(fact), _class_of(fact)).inc()
    for lane, latencies in accepted.items():
        EMAILS_SENT.labels(*lane).inc(len(latencies))
        _latency(*lane).observe_all(latencies)


def _class_of(fact: MailFact) -> str:
    return fact.failure_class if isinstance(fact, EmailDeferred | EmailBounced | EmailFailed) else ""


@cache
def _latency(pool: str, provider: str) -> BulkHistogram:
    return DELIVERY_LATENCY_SECONDS.labels(pool, provider)


@cache
def _not_sent(pool: str, provider: str, outcome: str, failure_class: str) -> Counter:
    return EMAILS_NOT_SENT.labels(pool, provider, outcome, failure_class)
