"""The settings of a pool's warm-up. Shares are of 1: 0.05 is 5 %."""

from __future__ import annotations

import msgspec


class WarmupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a new sending address gets known, at each mailbox provider for itself (docs/warm-up.md)."""

    enabled: bool = False
    """Warm the pool up. Turn it on before the first mail of a new IP address or ESP account, and leave it on."""
    first_day_mails: int = 200
    """To each mailbox provider on the first day. Published plans begin with 50 to 500 for all of them together."""
    growth: float = 1.4
    """Each good day allows so many times the mails of the day before. SendGrid's automatic plan uses this factor."""
    large_mails: int = 100_000
    """From here on a day weighs more, and it grows by `large_growth`."""
    large_growth: float = 1.2
    """The same for large days. Guides call 20 % a day a reasonable risk above 100,000 mails."""
    target_mails: int = 1_000_000
    """After a good day of this many the lane is warm, and has no limit of this kind."""
    plan: tuple[int, ...] = ()
    """A plan of your own: mails of the first day, the second, …; after its end it grows as above until the target."""
    filled_share: float = 0.8
    """A day must use up this much of its allowance to count: what was not sent proves nothing."""
    hold_complaint_rate: float = 0.001
    """A day with more complaints is repeated. Gmail asks to stay below 0.1 %."""
    back_complaint_rate: float = 0.003
    """With more, sending ends for the day and the next one is half as large. Gmail asks never to reach 0.3 %."""
    hold_hard_bounce_rate: float = 0.05
    """A day with more hard bounces is repeated: old lists are what warm-ups die of. Amazon SES reviews at 5 %."""
    hold_deferred_rate: float = 0.2
    """A day on which the provider put off more of the tries is repeated: it says that this is enough."""
    back_block_rate: float = 0.05
    """With more mails refused for reputation or policy, sending ends for the day and the next one is half as large."""
    idle_days: int = 30
    """After this many days without a mail it begins anew: providers forget. Twilio SendGrid asks for the same."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if self.first_day_mails < 1 or self.target_mails < 1 or any(mails < 1 for mails in self.plan):
            raise ValueError("first_day_mails, target_mails and every day of the plan must be 1 mail or more")
        if self.growth < 1.0 or self.large_growth < 1.0:
            raise ValueError(
                "growth and large_growth are factors from day to day, such as 1.4; less than 1 would shrink"
            )
        if not 0.0 <= self.filled_share <= 1.0:
            raise ValueError("filled_share must be a share of 0 to 1, such as 0.8 for 80 %")
