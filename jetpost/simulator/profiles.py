"""How much the big mailbox providers take at a time, and what they answer beyond it: for senders that adapt, to be tried against.

No provider publishes the rate that it takes: it depends on the reputation of who sends. The rates here are such as a young and
healthy IP address sees, in round numbers, and so are the penalties. Published are mails per connection at Yahoo
(https://senders.yahooinc.com/best-practices); the other figures on connections are those that KumoMTA ships for these providers
(https://github.com/KumoCorp/kumomta, assets/policy-extras/shaping.toml). The codes are documented, the words are ours:

- Gmail 4.7.28, 4.7.0: https://support.google.com/a/answer/3726730
- Microsoft 4.7.650 (rate), 4.7.652 (connections): https://sendersupport.olc.protection.outlook.com/pm/troubleshooting.aspx
- Yahoo TSS04: https://senders.yahooinc.com/smtp-error-codes/
- Apple: https://support.apple.com/102322
- Postfix anvil(8), for everybody else: https://www.postfix.org/anvil.8.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from events.providers import Provider


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider bears from one sender. Beyond it mails are refused; who goes on all the same is refused everything for a
    while, and for twice as long each time."""

    rate: float
    """Mails per second, on the average."""
    burst: float
    """So many at once."""
    connections: int | None = None
    """At a time, counted while a mail is on its way on them; None: any number."""
    mails_per_connection: int | None = None
    """Then the connection is closed without a word; None: never."""
    tolerance: int = 20
    """Refusals in `tolerance_seconds` that are put up with."""
    tolerance_seconds: float = 10.0
    penalty_seconds: float = 60.0
    """The first time that everything is refused."""
    penalty_max_seconds: float = 3_600.0
    forgives_seconds: float = 600.0
    """After so long without a penalty the next one is a first one again."""

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if self.rate <= 0 or self.burst < 1:
            raise ValueError("a profile needs a rate above 0 and a burst of at least 1 mail")


USUAL: Final[dict[Provider, Profile]] = {
    "gmail": Profile(rate=50.0, burst=100.0, connections=5, mails_per_connection=50),
    "microsoft": Profile(rate=20.0, burst=40.0, connections=5, mails_per_connection=50),
    "yahoo": Profile(rate=20.0, burst=40.0, connections=10, mails_per_connection=20),
    "apple": Profile(rate=10.0, burst=20.0, connections=10, mails_per_connection=5),
    "other": Profile(rate=50.0, burst=100.0, connections=10, mails_per_connection=100),
}

HELP: Final = (
    """How much providers bear: 'usual', or JSON such as '{"gmail": {"rate": 50, "burst": 100}}'; default: anything."""
)


def chosen(text: str) -> dict[Provider, Profile]:
    """What an option says. Raises `msgspec.DecodeError`, and `msgspec.ValidationError`, which is one."""
    match text:
        case "":
            return {}
        case "usual":
            return dict(USUAL)
        case _:
            return msgspec.json.decode(text, type=dict[Provider, Profile])


_TOO_FAST: Final[dict[Provider, str]] = {
    "gmail": "421 4.7.28 An unusual rate of mail comes from your network; it is rate limited for now. - gsim",
    "microsoft": "451 4.7.650 The mail server has been temporarily rate limited (SIM)",
    "yahoo": "421 4.7.0 [SIM04] Messages from your network are temporarily deferred: unexpected volume",
    "apple": "421 4.7.1 Messages from your network are deferred because of excessive volume",
    "other": "450 4.7.1 Error: too much mail, slow down; try again in {seconds} seconds",
}
_TOO_MANY_CONNECTIONS: Final[dict[Provider, str]] = {
    "gmail": "421 4.7.0 Too many concurrent sessions from your network, try again later. - gsim",
    "microsoft": "451 4.7.652 The mail server has exceeded the maximum number of connections (SIM)",
    "yahoo": "421 4.7.0 Too many concurrent connections from your network",
    "apple": "421 4.7.0 Too many connections from your network",
    "other": "421 4.7.0 Error: too many connections from your network",
}


def too_fast(provider: Provider, seconds: float) -> bytes:
    """The reply line, CRLF included, to a mail that is too much; `seconds` until the next one is taken."""
    return _TOO_FAST[provider].format(seconds=max(1, round(seconds))).encode() + b"\r\n"


def too_many_connections(provider: Provider) -> bytes:
    """The reply line, CRLF included, on a connection that is one too many."""
    return _TOO_MANY_CONNECTIONS[provider].encode() + b"\r\n"


def faster(profile: Profile, times: float) -> Profile:
    """The same with time running faster: a long story in a short test."""
    return replace(
        profile,
        rate=profile.rate * times,
        tolerance_seconds=profile.tolerance_seconds / times,
        penalty_seconds=profile.penalty_seconds / times,
        penalty_max_seconds=profile.penalty_max_seconds / times,
        forgives_seconds=profile.forgives_seconds / times,
    )


class Guard:
    """What a provider remembers of one sender. The clock is passed in, seconds."""

    def __init__(self, profile: Profile, now: float) -> None:
        self.profile = profile
        self.busy = 0
        """Connections with a mail on its way."""
        self._tokens = profile.burst
        self._strikes = 0.0
        self._at = now
        self._penalty_until = now
        self._penalties = 0

    def refuses(self, now: float) -> float:
        """Takes a mail and returns 0, or says in how many seconds it would take one."""
        profile, passed = self.profile, now - self._at
        self._at = now
        self._tokens = min(profile.burst, self._tokens + passed * profile.rate)
        self._strikes = max(0.0, self._strikes - passed * profile.tolerance / profile.tolerance_seconds)
        if now < self._penalty_until:
            self._strikes += 1
            return self._penalty_until - now
        if self._strikes > profile.tolerance:  # nobody listened, before the penalty or during it
            return self._punish(now)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        self._strikes += 1
        return (1 - self._tokens) / profile.rate

    def _punish(self, now: float) -> float:
        profile = self.profile
        if now - self._penalty_until > profile.forgives_seconds:
            self._penalties = 0
        seconds = min(profile.penalty_max_seconds, profile.penalty_seconds * 2.0 ** min(self._penalties, 30))
        self._penalties += 1
        self._penalty_until = now + seconds
        self._strikes = 0.0
        return seconds


class Visit:
    """What one connection uses up of what providers bear."""

    def __init__(self, guards: Mapping[Provider, Guard], clock: Callable[[], float], refused: Counter[str]) -> None:
        self._guards = guards
        self._clock = clock
        self._refused = refused
        self._at: Guard | None = None
        self._carried: Counter[Provider] = Counter()

    def refuses(self, provider: Provider) -> bytes | None:
        """What is said to a mail for this provider that it does not take; None: it comes in."""
        guard = self._guards.get(provider)
        if guard is None:
            return None
        most = guard.profile.connections
        if most is not None and self._at is not guard and guard.busy >= most:
            self._refused["too-many-connections"] += 1
            return too_many_connections(provider)
        seconds = guard.refuses(self._clock())
        if seconds > 0:
            self._refused["too-fast"] += 1
            return too_fast(provider, seconds)
        self.leave()
        self._at = guard
        guard.busy += 1
        return None

    def leave(self) -> None:
        """No mail is on its way."""
        if self._at is not None:
            self._at.busy -= 1
            self._at = None

    def is_over(self, provider: Provider) -> bool:
        """Counts a mail that was taken; whether the connection may carry no more."""
        guard = self._guards.get(provider)
        if guard is None:
            return False
        self._carried[provider] += 1
        return guard.profile.mails_per_connection == self._carried[provider]
