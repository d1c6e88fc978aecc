"""When two addresses are the same mailbox for us: the rule that mail ids and suppression entries share."""

from __future__ import annotations


def identity(address: str) -> str:
    """The same for two spellings of one mailbox, given addresses as `producer.recipients.addresses.normalise` writes them.

    Local parts are case-sensitive by RFC 5321 §2.4 and at no mailbox provider of note; dots and +tags are kept, since what
    they mean differs from provider to provider.
    """
    return address.lower()
