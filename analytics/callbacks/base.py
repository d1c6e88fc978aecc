"""The words that every ESP's callbacks are put into, and what a file for an ESP provides.

A callback is a request as it came: its headers and the exact bytes of its body, since those are what is signed. First `verify`
says whether it is who it claims to be; then `events` says what it tells. Neither raises for anything that a stranger may send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["valid", "invalid", "stale"]
"""`stale`: made by who it claims, at a time that is too far from now, so that it may be a replay."""

EventName: TypeAlias = Literal[
    "delivered",
    "deferred",
    "bounced",
    "complained",
    "opened",
    "clicked",
    "unsubscribed",
    "resubscribed",
    "rejected",
]
"""`rejected`: the ESP never tried, as for an address on its own suppression list."""

Bounce: TypeAlias = Literal["hard", "soft"]


class Request(NamedTuple):
    """A callback as it came."""

    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    """The exact bytes."""
    now: float | None
    """Unix seconds; None: what it says of time is not held against any clock."""

    def dated(self, sent_at: float, tolerance_seconds: float) -> Verdict:
        """Of a callback whose signature is right, and says that it was sent at `sent_at`, Unix seconds."""
        return "valid" if self.now is None or abs(self.now - sent_at) <= tolerance_seconds else "stale"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint's callbacks are checked with. Several of a kind: any of them will do, so that keys can be rotated."""

    signing_key: tuple[str, ...] = ()
    """Of Mailgun: the HTTP webhook signing key, which is not the API key."""
    public_key: tuple[str, ...] = ()
    """Of SendGrid: base64 as its settings show it, or PEM."""
    webhook_secret: tuple[str, ...] = ()
    """Of Standard Webhooks (Resend and others): `whsec_…`."""
    basic: tuple[str, ...] = ()
    """`user:password`, for HTTP Basic authentication."""
    bearer: tuple[str, ...] = ()
    """For `Authorization: Bearer …`."""
    headers: dict[str, tuple[str, ...]] = {}
    """Headers of the operator's own choice and what they must be, where the ESP can send such."""
    topic_arns: tuple[str, ...] = ()
    """Of Amazon SNS: the topics that may tell us something. Anybody can subscribe us to a topic of their own."""
    certificates: dict[str, str] = {}
    """Of Amazon SNS: by SigningCertURL the certificate as PEM, once it was fetched."""

    def __repr__(self) -> str:
        """Names of what is set: the values are for nobody's log."""
        return f"Secrets({', '.join(name for name in self.__struct_fields__ if getattr(self, name))})"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one callback tells of one mail."""

    event: EventName
    recipient: str = ""
    """As the ESP writes it; empty where it does not say."""
    message_id: str = ""
    """The ESP's own id of the mail, or the Message-ID, whichever it calls so; without angle brackets."""
    reference: str = ""
    """Ours: what we gave the ESP to give back, or the Message-ID that we had set. Empty: it gave nothing back."""
    at: float | None = None
    """Unix seconds; None: it does not say when."""
    bounce: Bounce | None = None
    """Only of `bounced`."""
    code: int = 0
    """The SMTP reply that the ESP got, as far as it passes it on."""
    enhanced: str = ""
    text: str = ""
    """The reply's or the ESP's words."""
    listed: bool = False
    """Of `rejected`: the ESP has the address on its suppression list. Not a new bounce; it counts in no rate."""
    url: str = ""
    """Of `clicked`."""
    machine: bool = False
    """Of `opened` and `clicked`: the ESP says that no person did it."""
    user_agent: str = ""
    group: str = ""
    """Of `unsubscribed` and `resubscribed`: the list or group that it is about; empty: all mail of the sender."""
    dedupe: str
    """The same for two callbacks that tell the same; unlike that of any other."""


class Told(NamedTuple):
    """All that one callback tells."""

    events: tuple[Event, ...]
    unknown: tuple[str, ...] = ()
    """Types that this release does not know; they are counted and answered 2xx, since asking again would not help."""
    broken: int = 0
    """Items that could not be read."""
    faults: tuple[str, ...] = ()
    """What this release stumbled over, an item each: mistakes of ours, so the callback is kept for a later release."""


class Esp(NamedTuple):
    """An ESP, as its file describes it."""

    name: str
    verify: Callable[[Request, Secrets], Verdict]
    tell: Callable[[Request], Told]
