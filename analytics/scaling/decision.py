"""A decision, as everybody reads it: metrics, the API, `jetpost status`. Times are Unix seconds, rates mails per second."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal, TypeAlias

import msgspec

Reason: TypeAlias = Literal["idle", "deadline", "queue", "provider_limited", "at_max", "cooldown"]
"""Nothing is to be sent · so many are needed to be done in time · the queue is long, and nobody knows what a sender does ·
limits make a campaign late, and more senders would not help it · more are needed than may be · fewer are needed, but not for
long enough."""


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a decision has to know of those before it."""

    decided: bool = False
    """Whether there was one."""
    wanted: int = 0
    risen_at: float = 0.0
    """When more were wanted than before."""
    needed: tuple[tuple[float, int], ...] = ()
    """Until when so many were needed, within the cooldown; each entry fewer than the one before it."""


class Limited(msgspec.Struct, frozen=True):
    """A campaign that is going to be late, and that more senders would not help."""

    campaign: str
    by: str
    """`<pool>.<provider>`, `<pool>`, `campaign=<id>`, `producers`."""
    rate: float | None
    """What passes there now; None: that cannot be said."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """How many senders are wanted, and why."""

    at: float
    wanted: int
    reason: Reason
    why: str
    """For people, in a sentence or two."""
    alive: int
    """Senders that work."""
    needed: int
    """Without the settings' limits, and without the cooldown."""
    late_seconds: Mapping[str, float | None]
    """By campaign how much too late its last mail will have been tried, as it looks now; 0: in time; null: something stops its
    mails for good."""
    limited: tuple[Limited, ...] = ()
    """Campaigns that more senders would not help."""
    capacity: Mapping[str, float] = {}
    """By pool what one sender sends at full work; nothing where that is not known."""

    @property
    def late(self) -> dict[str, float]:
        """Campaigns that will not be done in time, the latest first; infinite where something stops their mails for good."""
        found = {name: inf if seconds is None else seconds for name, seconds in self.late_seconds.items()}
        return {name: found[name] for name in sorted(found, key=lambda name: -found[name]) if found[name] > 0.0}
