"""The sender's settings. Units stand in the names; each field says why its default is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from events.esps import EspName
from events.providers import Provider
from events.secrets import Discreet
from events.verp import MIN_SECRET_BYTES
from sender.adaptive.settings import AdaptiveSettings
from sender.breaker.settings import BreakerSettings
from sender.throttle.limits import Limits
from sender.warmup.settings import WarmupSettings

_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN: Final = rf"(?!.*---)(?=.{{4,253}}$){_LABEL}(?:\.{_LABEL})+"
Domain: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=DOMAIN_PATTERN,
        description="a domain in lower case, in its ASCII form (xn--… for others), without three hyphens in a row",
    ),
]


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """The server that a pool's mails are handed to, and how."""

    host: str = "127.0.0.1"
    """Name or address. The default is a relay on the same machine, where most installations begin."""
    port: int = 25
    """25 between servers; 587 with `starttls` and 465 with `implicit` for submission (RFC 6409, RFC 8314)."""
    tls: Literal["none", "starttls", "implicit"] = "none"
    """`starttls` refuses to go on without TLS. None by default, because a relay on the same machine needs none."""
    username: str = ""
    """For AUTH; empty: no authentication."""
    password: str = ""
    """For AUTH. Secret: never logged."""
    ca_file: str = ""
    """PEM file with the authorities to trust; empty: those of the system."""
    verify: bool = True
    """Check the server's certificate and name. Turn off only against a server of your own without a certificate."""
    helo_name: str = ""
    """The name for EHLO; empty: this machine's. Give the name that the sending address resolves to (RFC 5321 §4.1.4)."""
    connect_timeout_seconds: float = 10.0
    """For connecting, TLS, greeting, EHLO and AUTH, each. Nothing is claimed meanwhile, so failing early costs nothing."""
    command_timeout_seconds: float = 20.0
    """For a reply to MAIL, RCPT or DATA. RFC 5321 §4.5.3.2 allows minutes; a relay that needs them is better left alone,
    and together with `data_timeout_seconds` this must stay below the ack-wait of 60 s."""
    data_timeout_seconds: float = 30.0
    """For the reply to the final dot. Too short makes doubts (RFC 1047); with `command_timeout_seconds` below the ack-wait."""
    max_connections: int = 20
    """Sessions at a time in one sender process. Each has one mail on its way: 20 send 2,000 mails/s at 10 ms a mail."""
    mails_per_connection: int = 1_000
    """After this many a session is closed and a new one made; many servers end a session by themselves, at 100 to 1,000."""
    pipelining: bool = True
    """Use PIPELINING (RFC 2920) where the server offers it."""
    chunking: bool = True
    """Send messages with BDAT (RFC 3030) where the server offers CHUNKING beside it; saves both sides a look at every byte."""
    pipeline_depth: int = 16
    """Mails in one turn of a session. What a dying process leaves in doubt is at most this, times the sessions."""
    relay_signs: bool = False
    """The relay signs with DKIM for the From domains of this pool: its mails are not signed here, and nobody warns of that."""
    esp: Literal["", EspName] = ""
    """The ESP behind this relay: mails carry what its callbacks give back, so that they find the mail (docs/webhooks.md)."""
    limits: Limits = Limits()
    """What all senders together send through this pool."""
    lanes: dict[Provider, Limits] = msgspec.field(default_factory=dict)
    """The same for each mailbox provider, beside the pool's."""
    warmup: WarmupSettings = WarmupSettings()
    """How its reputation is built up."""


class DkimKeys(Discreet, frozen=True, kw_only=True):
    """The keys that sign the mails from one domain and from those below it. Each is a file, or a text in the environment."""

    rsa_selector: str = ""
    """Where the public half of the RSA key lies in DNS: `<selector>._domainkey.<domain>`. `jetpost dkim keygen` makes both."""
    rsa_key_file: Path | None = None
    """PEM file with the RSA key, which every mailbox provider can verify."""
    rsa_private_key: str = ""
    """The same key as PEM text, in place of a file. Secret: give it in the environment."""
    ed25519_selector: str = ""
    """The same for the Ed25519 key; not the selector of the RSA key."""
    ed25519_key_file: Path | None = None
    """PEM file with the Ed25519 key (RFC 8463): a second signature, in an eighth of the time of an RSA one."""
    ed25519_private_key: str = ""
    """The same key as PEM text, in place of a file. Secret: give it in the environment."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a mail that failed is tried again (docs/decisions/0004-classes-of-failure.md)."""

    limit: int = 3
    """Retries after the first try; then the mail is given up to the DLQ. Tries that were throttled do not count."""
    transient_base_seconds: float = 60.0
    """Upper end of the first random wait after a transient failure; doubles each time. Greylisting asks for 1 to 15 minutes."""
    transient_max_seconds: float = 7_200.0
    """The random wait never has a higher upper end."""
    soft_interval_seconds: float = 3_600.0
    """Wait after a soft bounce. Mailboxes are emptied by people: sooner is of no use."""
    throttled_base_seconds: float = 30.0
    """Shortest wait after the provider said to slow down; the longest is twice that, so that mails do not come back at once."""
    throttled_max_seconds: float = 86_400.0
    """A mail that has been throttled for this long since it was queued is given up, even without a deadline."""
    hint_max_seconds: float = 14_400.0
    """A server's own `try again in` is believed up to this."""


class SenderSettings(Discreet, frozen=True, kw_only=True):
    """How a sender works."""

    pools: dict[str, Relay] = msgspec.field(default_factory=lambda: {"default": Relay()})
    """The pools that this sender serves, each with its relay."""
    retry: RetryPolicy = RetryPolicy()
    """When failed mails are tried again."""
    adaptive: AdaptiveSettings = AdaptiveSettings()
    """How lanes follow what providers say of their speed."""
    breaker: BreakerSettings = BreakerSettings()
    """When lanes of a campaign are stopped."""
    dkim: dict[Domain, DkimKeys] = msgspec.field(default_factory=dict)
    """What mails are signed with, by domain."""
    fetch_mails: int = 250
    """Mails in one fetch from a lane. Larger saves little; smaller costs the server a request each."""
    prefetch_mails: int = 500
    """Mails that wait in this process per lane, unclaimed: if it dies they come again after the ack-wait, without doubt."""
    verp_secret: str = ""
    """With it every mail has a return path of its own, `bounces+…@` where the campaign's is `bounces@`, by which its bounce is
    known and forged ones are not believed. At least 16 random characters, the same for all senders. A secret."""
    failover_after_seconds: float = 30.0
    """A pool to which no connection could be made for so long counts as down: campaigns that name another beside it go on there.
    Longer than a relay takes to restart."""
    lane_share: float = 0.5
    """The share of a pool's sessions that one lane may hold while others have work, so that a slow provider leaves room.
    One whose turns do not end keeps no more than an equal part."""
    record_backlog_mails: int = 2_000
    """Outcomes that may wait for NATS before sessions stop taking mails. Bounds memory while NATS is away."""
    fetch_wait_seconds: float = 5.0
    """How long one fetch from an empty lane waits at the server."""
    retry_pause_seconds: float = 0.2
    """First pause after NATS or a relay failed; doubles up to 15 s, so that an outage is neither missed nor hammered."""
    stop_seconds: float = 50.0
    """How long a stopping sender waits for outcomes of what it claimed; below a minute, which orchestrators grant."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if self.verp_secret and len(self.verp_secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"verp_secret is too short: make it at least {MIN_SECRET_BYTES} random characters")
