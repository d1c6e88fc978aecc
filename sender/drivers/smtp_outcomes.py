"""From what a server said, or did not say, to the outcome of a mail."""

from __future__ import annotations

from events.providers import provider_of
from sender import classification
from sender.drivers.base import Outbound, Refused, Reply


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
