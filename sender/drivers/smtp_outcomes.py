"""From what a server said, or did not say, to the outcome of a mail."""

from __future__ import annotations

import re
from typing import Final

from events import classification
from events.providers import provider_of
from sender.drivers.base import Outbound, Refused, Reply

_TOO_MANY: Final = re.compile(r"too many (?:messages|mails|e-?mails|transactions)", re.IGNORECASE)


def used_up(reply: Reply) -> bool:
    """A refusal of MAIL, on a session that has taken mails, because it may carry no more: OpenSMTPD's `452 4.5.3 Too many
    messages sent` after 100. The next session may. Where it is a rate limit after all, the next session is refused its
    first mail and so the limit is seen.
    """
    return 400 <= reply.code < 500 and _TOO_MANY.search(reply.text) is not None


def refused(mail: Outbound, reply: Reply, about_recipient: bool) -> Refused:
    """The server said no. `about_recipient`: to RCPT or to the message, not to MAIL FROM."""
    provider = provider_of(mail.recipient.rpartition("@")[2].lower())
    verdict = classification.classify(reply, provider, about_recipient=about_recipient)
    return Refused(verdict.failure_class, verdict.reason, reply, verdict.retry_after_seconds, verdict.suppress)


def unsendable(reason: str) -> Refused:
    """The server cannot take this mail: it was not even asked."""
    return Refused("soft", reason, Reply(0, "", ""))


def broken(reason: str) -> Refused:
    """The session broke on this mail before its message was complete."""
    return Refused("transient", "connection_lost", Reply(0, "", reason))
