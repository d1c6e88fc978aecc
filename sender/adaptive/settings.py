"""How lanes follow what providers say of their speed."""

from __future__ import annotations

import msgspec


class AdaptiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a lane slows down, and how it comes back (docs/deliverability.md)."""

    enabled: bool = True
    """Slow down lanes by themselves. Without it only the configured limits hold, and mails that are refused come again later."""
    floor: float = 0.1
    """Mails/s that a lane keeps whatever its provider says: one in ten seconds finds out when that has passed."""
    window_seconds: float = 10.0
    """At most one decrease in so long, whoever is told to slow down: replies to what was on its way already must not count."""
    recovery_seconds: float = 300.0
    """So long a lane takes back to the rate at which it was told to slow down; then it doubles in the same time, up to its limit.
    Also the time after which one connection more than were refused is tried again."""
    throttle_share: float = 0.03
    """A lane slows down where so many of the mails tried in a window are put off, and the provider says that they come too fast.
    A few such replies mean single mailboxes, or the provider's own trouble: slowing down for each would end at the floor."""
    throttle_mails: int = 5
    """Fewer mails that were put off in a window say nothing, whatever their share."""
    deferral_share: float = 0.5
    """A lane slows down, too, where so many of the mails tried in a window are put off with a 4xx that does not say why."""
    deferral_mails: int = 50
    """Fewer mails in a window say nothing about their share."""
    pause_max_seconds: float = 3_600.0
    """A lane is never paused for longer by one `try again in …`: then a mail finds out whether it still holds."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if self.floor <= 0:
            raise ValueError(
                "floor must be more than 0 mails/s: at 0 nothing would find out when a provider takes mails again"
            )
        if self.window_seconds <= 0 or self.recovery_seconds <= 0:
            raise ValueError(
                "window_seconds and recovery_seconds must be more than 0; to turn adapting off, set enabled = false"
            )
        if not (0 < self.deferral_share <= 1 and 0 < self.throttle_share <= 1):
            raise ValueError("deferral_share and throttle_share are shares of 1: 0.5 is half of the mails")
