"""What an outcome means for a mail: done, again, or never. Pure; docs/decisions/0004-classes-of-failure.md says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, assert_never

from events.schemas import DeliveryPolicy, FailureClass, Mail
from sender.drivers.base import Accepted, NotTried, Outcome, Refused, Reply, Unknown
from sender.settings import RetryPolicy

Random: TypeAlias = Callable[[], float]
"""A number of [0, 1), such as `random.random`."""


class Done(NamedTuple):
    """Accepted by the next server, at Unix seconds."""

    reply: Reply
    at: float


class RetryAt(NamedTuple):
    """Try again at this moment, Unix seconds."""

    at: float
    failure_class: FailureClass
    charged: int
    """Tries that count against the limit, this one included unless it was throttled or never reached the server."""
    reply: Reply


class Bounce(NamedTuple):
    """The address will never work: no retry."""

    failure_class: FailureClass
    reply: Reply
    suppress: bool = False
    """For all campaigns."""


class Suppress(NamedTuple):
    """The address is on the suppression list: nothing is tried."""

    reason: str


class GiveUp(NamedTuple):
    """Into the DLQ, for a person to decide."""

    failure_class: str
    reason: str
    reply: Reply


class Expire(NamedTuple):
    """Nothing may be tried any more: the campaign's deadline comes before the next try."""


class Doubt(NamedTuple):
    """Nobody can say whether the mail was taken (RFC 1047)."""

    reason: str
    retry_at: float | None
    """When to try again nevertheless, under `at_least_once`; None: leave it."""
    charged: int


Decision: TypeAlias = Done | RetryAt | Bounce | Suppress | GiveUp | Expire | Doubt


class Rules(NamedTuple):
    """What bounds the tries of a campaign's mails."""

    retry: RetryPolicy
    in_doubt: DeliveryPolicy
    deadline: float | None
    """Unix seconds; None: no deadline."""
    started_at: float = 0.0
    """When the campaign was let go, if it had a start: what waited for that was not throttled."""


def decide(outcome: Outcome, mail: Mail, rules: Rules, now: float, random: Random) -> Decision:
    """What happens next with a mail whose try ended like this at `now`."""
    match outcome:
        case Accepted(reply, at):
            return Done(reply, at)
        case Refused():
            return _after_refusal(outcome, mail, rules, now, random)
        case Unknown(reason):
            return doubt(reason, mail, rules, now, random)
        case NotTried(reason):
            wait = random() * rules.retry.transient_base_seconds
            return _in_time(RetryAt(now + wait, "transient", mail.charged, Reply(0, "", reason)), rules)
        case _:
            assert_never(outcome)


def doubt(reason: str, mail: Mail, rules: Rules, now: float, random: Random) -> Doubt:
    """A try of unknown fate counts against the limit, so that a mail is risked a bounded number of times."""
    charged = mail.charged + 1
    if rules.in_doubt == "at_most_once" or charged > rules.retry.limit:
        return Doubt(reason, None, charged)
    at = now + _jittered(mail.charged, rules.retry, random)
    expired = rules.deadline is not None and at >= rules.deadline
    return Doubt(reason, None if expired else at, charged)


def _after_refusal(refused: Refused, mail: Mail, rules: Rules, now: float, random: Random) -> Decision:
    match refused.failure_class:
        case "hard":
            return Bounce("hard", refused.reply, refused.suppress)
        case "block":
            return GiveUp("block", refused.reason, refused.reply)
        case "throttled":
            return _after_throttling(refused, mail, rules, now, random)
        case "transient":
            wait = _hint(refused, rules.retry) + _jittered(mail.charged, rules.retry, random)
        case "soft":
            wait = max(rules.retry.soft_interval_seconds, _hint(refused, rules.retry))
        case _:
            assert_never(refused.failure_class)
    charged = mail.charged + 1
    if charged > rules.retry.limit:
        return GiveUp(refused.failure_class, refused.reason, refused.reply)
    return _in_time(RetryAt(now + wait, refused.failure_class, charged, refused.reply), rules)


def _after_throttling(refused: Refused, mail: Mail, rules: Rules, now: float, random: Random) -> Decision:
    base = rules.retry.throttled_base_seconds
    at = now + max(base, _hint(refused, rules.retry)) + random() * base
    if at - max(mail.queued_at, rules.started_at) > rules.retry.throttled_max_seconds:
        return GiveUp("throttled", refused.reason, refused.reply)
    return _in_time(RetryAt(at, "throttled", mail.charged, refused.reply), rules)


def _in_time(retry: RetryAt, rules: Rules) -> RetryAt | Expire:
    return Expire() if rules.deadline is not None and retry.at >= rules.deadline else retry


def _hint(refused: Refused, policy: RetryPolicy) -> float:
    return min(max(refused.retry_after_seconds or 0.0, 0.0), policy.hint_max_seconds)


def _jittered(earlier: int, policy: RetryPolicy, random: Random) -> float:
    """Exponential backoff with full jitter: uniform below a doubling bound, so that what failed together returns apart."""
    doubled = policy.transient_base_seconds * 2.0 ** min(earlier, 30)
    return random() * min(policy.transient_max_seconds, doubled)
