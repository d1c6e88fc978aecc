"""What a returned mail says."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from events.schemas import FailureClass

Kind: TypeAlias = Literal["bounce", "complaint", "auto_reply", "delivered", "unknown"]
Action: TypeAlias = Literal["failed", "delayed", "delivered", "relayed", "expanded"]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one recipient."""

    recipient: str
    """The address that the mail bounced at; behind a forwarding another one than we sent to."""
    original: str = ""
    """The address that we sent to, where the notice tells it."""
    action: Action | None = None
    """As in RFC 3464 §2.3.3; None of a complaint."""
    code: int = 0
    """The SMTP code; 0 where none is told."""
    status: str = ""
    """The enhanced status code (RFC 3463)."""
    text: str = ""
    """The server's words."""
    failure_class: FailureClass | None = None
    """Of `failed` and `delayed`. `transient` where it failed for good: it waited in vain, which says little of the address."""
    reason: str = ""
    hard: bool = False
    """The address or domain will never work."""


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What the notice gives back of the mail that it is about."""

    message_id: str = ""
    """Without angle brackets."""
    recipient: str = ""
    """The address in To, where there is one alone."""
    headers: dict[str, str] = {}
    """All that were given back, by name in lower case; of several with one name the first."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    notices: tuple[Notice, ...] = ()
    returned: Returned = Returned()
    feedback_type: str = ""
    """Of an abuse report (RFC 5965 §3.1, RFC 6591): `abuse`, `not-spam`, `auth-failure`, `opt-out`…"""
    sent_to: tuple[str, ...] = ()
    """Where the notice itself was sent to: the return path that we gave, or one that somebody made up."""
