"""Names for campaigns and mails: short, deterministic, safe in subjects, headers and addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

CAMPAIGN_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""Lower-case letters, digits and inner hyphens, 1 to 40 characters: one token of a NATS subject and of a Message-ID."""

MAIL_ID_LENGTH = 16
"""Characters of a mail id: 80 bits in lower-case base 32. Two of 10M addresses share one with a probability of 4e-11."""


def is_campaign_id(text: str) -> bool:
    return CAMPAIGN_ID.fullmatch(text) is not None


def mail_id(campaign: str, normalised_address: str) -> str:
    """The id of the mail of `campaign` to an address, the same on every machine and in every run.

    The address must be normalised first (`producer.recipients.addresses.normalise`, `events.addresses.identity`), or one
    mailbox gets two ids.
    """
    return spell(mail_digest(campaign, normalised_address))


def mail_digest(campaign: str, normalised_address: str) -> bytes:
    """The 10 bytes that a mail id spells; as good an identity, and smaller to remember."""
    return mail_digests(campaign)(normalised_address)


def mail_digests(campaign: str) -> Callable[[str], bytes]:
    """`mail_digest` of one campaign, for many addresses: what is hashed first is the same for all."""
    begin = blake2b(f"{campaign}\0".encode(), digest_size=_DIGEST_BYTES).copy

    def digest(normalised_address: str) -> bytes:
        begun = begin()
        begun.update(normalised_address.encode())
        return begun.digest()

    return digest


def spell(digest: bytes) -> str:
    """A digest as a mail id: base 32 (RFC 4648 §6) in lower case, two letters at a time; a third of what `b32encode` costs."""
    bits = int.from_bytes(digest, "big")
    high, low = bits >> 40, bits & 0xFF_FFFF_FFFF
    return (
        f"{_TWO[high >> 30]}{_TWO[high >> 20 & 1023]}{_TWO[high >> 10 & 1023]}{_TWO[high & 1023]}"
        f"{_TWO[low >> 30]}{_TWO[low >> 20 & 1023]}{_TWO[low >> 10 & 1023]}{_TWO[low & 1023]}"
    )


_DIGEST_BYTES: Final = 10
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_TWO: Final = [one + other for one in _LETTERS for other in _LETTERS]


def attempt_id(mail: str, attempt: int) -> str:
    """Identifies one try of one mail; the `Nats-Msg-Id` of the mail in its queue and of its claim."""
    return f"{mail}/{attempt}"


def outcome_id(mail: str, attempt: int) -> str:
    """Identifies the one outcome that an attempt may have; the `Nats-Msg-Id` of its event."""
    return f"{mail}/{attempt}/outcome"
