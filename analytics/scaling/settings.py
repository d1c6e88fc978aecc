"""Settings of scaling. Units stand in the names; each field says why its default is what it is."""

from __future__ import annotations

import msgspec


class ScalingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many senders are wanted (docs/scaling.md). It is only told, in metrics: what starts and stops senders reads them
    there."""

    min_senders: int = 1
    """As many are wanted where nothing is due; 0: none. Give what starts them the same limits."""
    max_senders: int = 10
    """Never are more wanted. What NATS and ClickHouse bear is a limit, too: measure before you raise it."""
    within_seconds: float = 3_600.0
    """A campaign without a deadline is to be sent so long after its start: an hour is what Jetpost promises for ten million
    mails."""
    sender_mails_per_second: float = 2_000.0
    """What one sender is taken to send before any was measured at full work; 0: nothing is taken for granted, and until one was
    measured the length of the queue decides. What is measured takes its place within seconds."""
    sender_start_seconds: float = 60.0
    """From wanting a sender until it sends: a place for it, its image, its start. Senders for a campaign with a start are wanted
    this long before it."""
    cooldown_seconds: float = 300.0
    """Fewer are wanted only after so long in which fewer were needed: what stops and starts all the time does less."""
    queue_mails: int = 1_000
    """Where nothing is known of what a sender sends: with more mails waiting one more sender is wanted, and another after each
    cooldown."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if not 0 <= self.min_senders <= self.max_senders or self.max_senders < 1:
            raise ValueError("min_senders must be 0 or more and max_senders at least 1 and no less than that")
        if min(self.within_seconds, self.sender_start_seconds, self.cooldown_seconds) < 1.0:
            raise ValueError("within_seconds, sender_start_seconds and cooldown_seconds must be 1 or more")
        if self.sender_mails_per_second < 0.0 or self.queue_mails < 0:
            raise ValueError("sender_mails_per_second and queue_mails must be 0 or more")

    @property
    def soonest_seconds(self) -> float:
        """What is late is to be done within this: until senders have come, and half as long again, or ten seconds."""
        return self.sender_start_seconds + max(10.0, self.sender_start_seconds / 2)
