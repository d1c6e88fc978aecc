"""What is known when it is decided how many senders are wanted. Mails and senders are numbers, rates mails per second, times Unix
seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from events.pace import Pace
from events.schemas import Priority

Lane: TypeAlias = tuple[str, str]
"""Pool and mailbox provider."""


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all senders together may send through a pool, or through a lane of it. As new: nothing limits it."""

    rate: float | None = None
    """As configured."""
    pace: Pace = Pace()
    """What its provider has taught."""
    connections: int | None = None
    """As configured."""
    daily: int | None = None
    """Mails per day that are configured or, while it is warmed up, allowed; days begin at 00:00 UTC."""
    used: int = 0
    """Of them so many went today."""
    down: bool = False
    """No sender can connect."""

    @property
    def is_used_up(self) -> bool:
        """Nothing more goes today."""
        return self.daily is not None and self.used >= self.daily


class Work(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is left to send of a campaign."""

    campaign: str
    deadline: float
    """When its last mail is to be tried at the latest."""
    lanes: Mapping[Lane, float]
    """Mails by lane: due, waiting for a retry, and not rendered yet."""
    begins: float = 0.0
    """Nothing is sent before."""
    unrendered: float = 0.0
    """So many of them are not rendered yet."""
    again: float = 0.0
    """So many of them were tried before."""
    stopped: float = 0.0
    """Mails beside them that wait until a person lets their lane go on."""
    priority: Priority = "normal"
    weight: int = 1
    rate: float | None = None
    """What its file limits it to."""

    @property
    def mails(self) -> float:
        return sum(self.lanes.values())

    @property
    def name(self) -> str:
        """As the name of what limits it."""
        return f"campaign={self.campaign}"


class Pool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one sender brings to a pool."""

    rate: float | None
    """At full work; None: nobody knows."""
    sessions: int = 1
    measured: bool = False

    @property
    def session_rate(self) -> float | None:
        return None if self.rate is None else self.rate / self.sessions


class Situation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    now: float
    alive: int
    """Senders that work."""
    pools: Mapping[str, Pool]
    works: tuple[Work, ...] = ()
    """Of campaigns that may be sent now or soon; not of paused ones."""
    limits: Mapping[str, Limit] = {}
    """By `<pool>` and `<pool>.<provider>`; what has no entry is not limited."""
    rendering: float | None = None
    """What producers queued lately while they had work all the time; None: they had not."""


def name_of(lane: Lane) -> str:
    return f"{lane[0]}.{lane[1]}"
