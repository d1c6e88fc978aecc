"""What a simulator can be told."""

from __future__ import annotations

from pathlib import Path

import msgspec

from events.providers import Provider
from jetpost.simulator.profiles import Profile


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Misbehaviour at random, each a probability per mail. For chaos tests; all off by default."""

    drop_before_message: float = 0
    """In place of the reply to RCPT: the connection drops before anything of the message was taken."""
    drop_before_accepting: float = 0
    """At the final dot: the connection drops, the mail is not taken."""
    drop_after_accepting: float = 0
    """At the final dot: the mail is taken, and the connection drops without a reply (RFC 1047)."""
    hang: float = 0
    """At the final dot: no reply, ever; the mail is not taken."""
    hang_after_accepting: float = 0
    """At the final dot: the mail is taken, and no reply comes, ever (RFC 1047)."""
    half_close: float = 0
    """At the final dot: the server's side of the connection ends without a reply, the client's stays open; the mail is not
    taken."""
    garbage: float = 0
    """At the final dot: a line that is no SMTP reply; the mail is not taken."""
    shut_down: float = 0
    """At MAIL FROM: 421, and the connection closes (RFC 5321 §3.8)."""
    seed: int = 0
    """The same seed and the same order of mails give the same faults."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    certificate: Path
    key: Path


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    state_dir: Path
    """Where the ids of accepted mails are written."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port."""
    control_port: int = 0
    smtps_port: int | None = None
    """Port for implicit TLS; None: not offered. Needs `tls`."""
    tls: Tls | None = None
    """With it, STARTTLS is offered."""
    credentials: tuple[str, str] | None = None
    """User name and password; with them mail is taken only after AUTH."""
    pipelining: bool = True
    """Offer PIPELINING (RFC 2920)."""
    chunking: bool = True
    """Offer CHUNKING (RFC 3030)."""
    smtputf8: bool = True
    max_size: int = 50_000_000
    """Bytes; what SIZE says (RFC 1870)."""
    latency_seconds: float = 0
    """Every reply is this late, as if the server were far away."""
    slow_seconds: float = 2
    """How long a `+slow` recipient takes over the final dot."""
    greylist_seconds: float = 3
    """How long a `+greylist` recipient is turned away after the first try."""
    throttled_tries: int = 2
    """How many tries of a `+throttled` recipient are turned away."""
    faults: Faults = Faults()
    profiles: dict[Provider, Profile] = {}
    """How much providers bear (`profiles.USUAL`); those that are not named bear anything."""
