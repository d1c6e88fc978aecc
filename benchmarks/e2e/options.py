"""What an end-to-end run can be told."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    mails: int = 200_000
    senders: int = 2
    """Processes. One for each of two cores: another one has work while the first waits for the server."""
    producers: int = 1
    """Processes."""
    size: int = 10_240
    """Bytes of a rendered mail, on average."""
    latency_ms: float = 0
    """Before every reply of the mailbox simulator."""
    pipelining: bool = True
    """Off: one mail at a time, four commands of aiosmtplib."""
    sendmail: bool = False
    """One mail at a time through `aiosmtplib.SMTP.sendmail`, instead of transactions of Jetpost's own."""
    dkim: bool = False
    """Every mail is signed with RSA and Ed25519."""
    prefill: bool = False
    """Senders start only when all mails are queued."""
    connections: int | None = None
    """SMTP sessions of each sender; None: the default of the settings."""
    waiting: int = 0
    """Mails of another campaign that wait for a retry meanwhile."""
    keep: Path | None = None
    """Keep data and logs in this folder; None: they go at the end."""
