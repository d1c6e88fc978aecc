"""Names for campaigns and mails: short, deterministic, safe in subjects, headers and addresses."""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import blake2b

CAMPAIGN_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""Lower-case letters, digits and inner hyphens, 1 to 40 characters: one token of a NATS subject and of a Message-ID."""

MAIL_ID_LENGTH = 16
"""Characters of a mail id: 80 bits in lower-case base 32. Two of 10M addresses share one with a probability of 4e-11."""


def is_campaign_id(text: str) -> bool:
    return CAMPAIGN_ID.fullmatch(text) is not None


def mail_id(campaign: str, normalised_address: str) -> str:
    """The id of the mail of `campaign` to an address, the same on every machine and in every run.

    The address must be normalised first (`producer.recipients.addresses.normalise`), or one mailbox gets two ids.
    """
    return b32encode(mail_digest(campaign, normalised_address)).decode("ascii").lower()


def mail_digest(campaign: str, normalised_address: str) -> bytes:
    """The 10 bytes that a mail id spells; as good an identity, and smaller to remember."""
    return blake2b(f"{campaign}\0{normalised_address}".encode(), digest_size=10).digest()


def attempt_id(mail: str, attempt: int) -> str:
    """Identifies one try of one mail; the `Nats-Msg-Id` of the mail in its queue and of its claim."""
    return f"{mail}/{attempt}"


def outcome_id(mail: str, attempt: int) -> str:
    """Identifies the one outcome that an attempt may have; the `Nats-Msg-Id` of its event."""
    return f"{mail}/{attempt}/outcome"
