"""What an operator limits, and what holds at a moment: configured, slowed down, warmed up, whichever is the least. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from events import pace as paces
from sender.throttle.state import State

BURST_SECONDS: Final = 0.25
"""The usual burst: a quarter of a second's worth of mails."""
LEAST_BURST: Final = 2.0
"""Mails. With less there is no moment at which a mail that is due now is not too late already."""
LEAST_BURST_SECONDS: Final = 0.1
"""A burst below a tenth of a second's worth asks for more punctuality than a busy machine has."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What all senders together keep to. What is not set is not limited, and costs nothing."""

    rate: float | None = None
    """Mails per second."""
    burst: float | None = None
    """So many mails more than `rate` may go in any second. Unset: a quarter of `rate`, and at least 2. Not below 2 nor a tenth of
    `rate`: senders share the limit over the network, and no network is that punctual."""
    connections: int | None = None
    """Sessions that all senders together may have: of a pool the open ones, of a lane those that work for it."""
    daily: int | None = None
    """Mails per day; days begin at 00:00 UTC."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if self.rate is not None and self.rate <= 0:
            raise ValueError("rate must be more than 0 mails/s: to stop a campaign, pause it")
        if self.burst is not None:
            if self.rate is None:
                raise ValueError("burst needs a rate: it says how far beyond the rate mails may go")
            least = max(LEAST_BURST, LEAST_BURST_SECONDS * self.rate)
            if self.burst < least:
                raise ValueError(f"burst must be at least {least:g} mails for a rate of {self.rate:g}/s")
        if self.connections == 0 or self.daily == 0:
            raise ValueError("connections and daily must be 1 or more: to stop a campaign, pause it")


NONE: Final = Limits()


class Effective(NamedTuple):
    """What holds at a moment."""

    rate: float | None
    burst: float
    """Mails; counts only where there is a rate."""
    connections: int | None
    daily: int | None
    not_before: float
    """Nothing before this moment, Unix seconds."""

    @property
    def is_none(self) -> bool:
        """Nothing is limited."""
        return self.rate is None and self.connections is None and self.daily is None and not self.not_before

    @property
    def late_seconds(self) -> float:
        """So late a token may be spent. Half of the burst: the other half is for clocks that differ and for the network."""
        return (self.burst - 1) / (2 * self.rate) if self.rate else 0.0


def effective(limits: Limits, state: State, now: float) -> Effective:
    """The configured limits, and what was learned (`State.pace`) and allowed (`State.allowance`) beside them."""
    pace = state.pace
    rate = paces.rate_at(pace, limits.rate, now)
    burst_seconds = limits.burst / limits.rate if limits.burst and limits.rate else BURST_SECONDS
    return Effective(
        rate,
        max(LEAST_BURST, rate * burst_seconds) if rate else 0.0,
        paces.connections_at(pace, limits.connections, now),
        _least(limits.daily, state.allowance),
        pace.not_before if pace.not_before > now else 0.0,
    )


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
