"""The seam between the worker and whatever takes its mails: what a driver is given and what it answers.

The worker leases a session first and claims mails only then, so that nothing is claimed while a connection is being
made: a claimed mail whose worker dies is in doubt, and doubt must stay rare (docs/decisions/0003-claims.md).

    async with pool.lease() as driver:          # connected, or ConnectionFailed: nothing was claimed
        mails = claim(up to driver.room mails)
        outcomes = await driver.deliver(mails)  # one outcome per mail, in the same order

The batch is the seam, so that each kind of session may use it in its own way. SMTP pipelines the mails and answers for each.
An API over HTTP sends them in requests, one each or several, which are the unit of doubt there:

- No connection, or it broke before the last byte of a request was handed to the kernel: `NotTried` for its mails.
- A request was sent whole and no response came, or only a part of one: `Unknown` for all of its mails. So are 5xx and
  gateway errors (502, 504), unless the API's documentation says that nothing was taken then.
- 2xx: what the body says of each mail; `Accepted`, `Refused`, and `Unknown` for a mail of which it says nothing.
- 429: `Refused` as `throttled`, with Retry-After. 401 and 403: `Refused` as `block`. Other 4xx that blame the whole request,
  which some do for one bad address: `Refused`, or ask again singly before answering; they say that nothing was taken.
- `Reply.code` is the HTTP status, `Reply.text` the API's own words: classification reads them as it reads a server's.

A lease is then one request at a time on a kept connection, and `room` at most what one request may carry. `message` is what
APIs that take MIME are given; return path and recipient go beside it as the envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol, TypeAlias

from events import replies, schemas

FailureClass: TypeAlias = schemas.FailureClass
Reply: TypeAlias = replies.Reply


class Outbound(NamedTuple):
    """One mail, ready for the wire."""

    mail_id: str
    recipient: str
    """For RCPT TO; may hold non-ASCII characters in its local part where `smtputf8`."""
    return_path: str
    """For MAIL FROM; empty: the null reverse-path."""
    message: bytes
    """The complete RFC 5322 message with CRLF line ends; not dot-stuffed."""
    smtputf8: bool = False
    """Needs SMTPUTF8 (RFC 6531)."""
    in_lines: bool = False
    """Who made the message knows that it is lines that end with CRLF, the last one too, and that it holds no other CR or LF.
    False: not known, and a driver that needs it so makes it so."""

    @property
    def size(self) -> int:
        """Bytes of the message, as RFC 1870 counts them."""
        return len(self.message)


class Accepted(NamedTuple):
    """The next server took responsibility for the mail (RFC 5321 §4.2.5)."""

    reply: Reply
    at: float
    """Unix seconds."""


class Refused(NamedTuple):
    """The next server certainly did not take the mail: it said so, or it closed before the message was complete."""

    failure_class: FailureClass
    reason: str
    """Our own short word for it, such as `mailbox_full`; for counting, not for reading."""
    reply: Reply
    retry_after_seconds: float | None = None
    """The server's own hint (`try again in 300 seconds`)."""
    suppress: bool = False
    """The address itself is dead: it must not be tried again by any campaign."""


class Unknown(NamedTuple):
    """The message was wholly on the wire and no reply came: nobody can say whether it was taken (RFC 1047)."""

    reason: str


class NotTried(NamedTuple):
    """The server was certainly not given the whole message: the mail may be given to another session without any doubt."""

    reason: str


Outcome: TypeAlias = Accepted | Refused | Unknown | NotTried


class ConnectionFailed(Exception):
    """No session could be had: connecting, TLS, the greeting or authentication failed. No mail was involved."""

    def __init__(self, reason: str, *, reply: Reply | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reply = reply
        self.retry_after_seconds = retry_after_seconds
        self.beside = 0
        """So many connections were open while one more was refused."""


class Driver(Protocol):
    """One session with the next server. Used by one task at a time."""

    @property
    def room(self) -> int:
        """How many mails the session takes in one `deliver`, at least 1: its pipeline depth, bounded by what is left of
        the mails it may carry. The worker claims no more than that at a time."""
        ...

    async def deliver(self, mails: Sequence[Outbound]) -> list[Outcome]:
        """Hand over 1 to `room` mails; one outcome per mail, in their order.

        Never raises for what a server or a network does: a broken connection is `NotTried` for what had not been sent
        completely and `Unknown` for what had. Bounded by the driver's own timeouts. If it is cancelled, the fate of the
        mails is unknown and the session must not be used again.
        """
        ...

    async def close(self) -> None:
        """End the session politely where possible; never raises for a broken one."""
        ...


class Pool(Protocol):
    """The sessions of one pool (a relay, an ESP account). One for each `deliver` that runs at the same time."""

    def lease(self) -> AbstractAsyncContextManager[Driver]:
        """A session that is ready: a kept one, or a new one. Entering waits while as many as allowed are out, and raises
        `ConnectionFailed`. Leaving gives it back; a session that broke, is used up, or is left by an exception is closed.
        """
        ...

    def keep_open(self, most: int) -> None:
        """From now on so many sessions stay open at most, unused ones included. The worker uses no more than these."""
        ...

    async def close(self) -> None:
        """Close every kept session."""
        ...
