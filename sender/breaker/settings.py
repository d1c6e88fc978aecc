"""The settings of the circuit breaker. Shares are of 1: 0.05 is 5 %."""

from __future__ import annotations

import msgspec


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a lane of a campaign is stopped (docs/deliverability.md). A campaign file may set limits of its own."""

    enabled: bool = True
    """Stop lanes by themselves. A campaign file may set `breaker = false`, too."""
    hard_bounce_rate: float = 0.05
    """Hard bounces among the mails with an outcome. Amazon SES reviews accounts at 5 % and pauses them at 10 %."""
    block_rate: float = 0.05
    """Mails refused for policy, reputation or content. No provider publishes a limit; a healthy sender sees next to none."""
    complaint_rate: float = 0.003
    """Complaints among accepted mails. Gmail asks to stay below 0.1 % and never to reach 0.3 %; SES pauses at 0.5 %."""
    minimum_mails: int = 100
    """Fewer mails are not judged. Beyond that, a lane is stopped only where chance does not explain the rate."""
    window_seconds: float = 3_600.0
    """Bounces and blocks are looked for among the newest mails, as far back as this. Complaints: since the lane began."""
    report_seconds: float = 1.0
    """How often a sender tells what it counted, unless it looks bad: then it does so at once. Each telling is one write."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        for name in ("hard_bounce_rate", "block_rate", "complaint_rate"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(
                    f"{name} must be a share above 0 and up to 1, such as 0.05 for 5 %; 1 never stops a lane"
                )
        if self.minimum_mails < 1 or self.window_seconds <= 0:
            raise ValueError("minimum_mails and window_seconds must be more than 0")
