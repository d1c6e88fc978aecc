"""What an operator decides about bounce mail."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from events.secrets import Discreet
from events.verp import MIN_SECRET_BYTES


class BounceSettings(Discreet, frozen=True, kw_only=True):
    """Where mail to the return path comes in (docs/bounces.md)."""

    host: str = "127.0.0.1"
    """Address to listen on; the default takes mail from this machine's own mail server alone."""
    port: int = 0
    """Port to listen on, such as 24 for LMTP or 25 for SMTP; 0: any free one, which the log tells."""
    protocol: Literal["lmtp", "smtp"] = "lmtp"
    """LMTP (RFC 2033) behind a mail server of your own, SMTP where the MX record leads here."""
    listen: bool = True
    """Turn off where bounces come by `maildir` alone."""
    domains: tuple[str, ...] = ()
    """Domains of return paths; mail to others is refused. Empty: mail to any domain is taken, and counts only if it is ours."""
    maildir: Path | None = None
    """A Maildir that a mail server delivers bounces to; what is in `new` is read and moved to `cur`."""
    maildir_seconds: float = 2.0
    """So often the Maildir is looked at."""
    max_message_bytes: int = 10_485_760
    """What is larger is refused. Bounces may hold the whole mail."""
    old_verp_secrets: tuple[str, ...] = ()
    """Earlier values of `sender.verp_secret`: bounces may come days later. Secret."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if any(len(secret.encode()) < MIN_SECRET_BYTES for secret in self.old_verp_secrets):
            raise ValueError(f"old_verp_secrets must have at least {MIN_SECRET_BYTES} characters each")
