"""What the outcomes of a turn say about the speed of its lane. Pure.

Of a mail that was refused, three things may be meant: the sender is too fast, this recipient gets too much (Gmail's 4.2.1), or
this server does not know us yet (greylisting). Only the first concerns the lane.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sender.drivers.base import Accepted, Outcome, Refused, Reply

_ONE_RECIPIENT: Final = "recipient_rate"
"""The reason that `classification` gives where a single mailbox gets too much."""
CONNECTIONS: Final = "connections"
"""The reason that it gives where there are too many of them."""
_ALL_ACCEPTED: Final = {Accepted}
_GREYLISTED: Final = re.compile(r"gr[ea]y-?list", re.IGNORECASE)


class Evidence(NamedTuple):
    """Of one turn."""

    tried: int
    """Mails that were accepted or refused; others say nothing."""
    accepted: int
    put_off: int
    """Throttled, or refused by a 4xx that does not concern the recipient alone; not for too many connections."""
    throttled: Reply | None
    """The provider's words where it asked to slow down."""
    connections: Reply | None
    """Its words where it said that there are too many connections."""
    deferred: Reply | None
    """The words of a 4xx that did not say why."""
    hint_seconds: float
    """The longest time that was asked for; 0: none."""


def of(outcomes: Sequence[Outcome]) -> Evidence:
    """What the outcomes say, each of them once."""
    if {*map(type, outcomes)} == _ALL_ACCEPTED:  # the way of nearly every turn
        return Evidence(len(outcomes), len(outcomes), 0, None, None, None, 0.0)
    tried = accepted = put_off = 0
    throttled = connections = deferred = None
    hint = 0.0
    for outcome in outcomes:
        if isinstance(outcome, Accepted):
            tried, accepted = tried + 1, accepted + 1
            continue
        if not isinstance(outcome, Refused):
            continue
        tried += 1
        if outcome.failure_class == "throttled" and outcome.reason != _ONE_RECIPIENT:
            if outcome.reason == CONNECTIONS:
                connections = outcome.reply
                continue
            put_off += 1
            throttled = outcome.reply
            hint = max(hint, outcome.retry_after_seconds or 0.0)
        elif outcome.failure_class == "transient" and _is_deferral(outcome.reply):
            put_off += 1
            deferred = outcome.reply
    return Evidence(tried, accepted, put_off, throttled, connections, deferred, hint)


def _is_deferral(reply: Reply) -> bool:
    return 400 <= reply.code < 500 and _GREYLISTED.search(reply.text) is None
