"""Return paths that say which mail bounced (VERP), and that nobody without the secret can make.

`bounces@news.example.com` becomes `bounces+<mail id><campaign><mac>@news.example.com`: 37 characters of lower-case base 32, since
servers on the way may change the case of a local part, which may have 64 characters in all (RFC 5321 §4.5.3.1.1). The campaign is
a mark of 40 bits, told apart among the campaigns that there are; the MAC is keyed BLAKE2b (RFC 7693 §2.9) of 65 bits, which
only we check. Without it anybody could send a bounce for anybody, and have them suppressed.

Plus signs as "mailbox and what belongs to it" (RFC 5233) reach the same mailbox on most servers; others need a catch-all.
"""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from events import ids

MIN_SECRET_BYTES: Final = 16
MARK_LENGTH: Final = 8
_MAC_LENGTH: Final = 13
TAG_LENGTH: Final = ids.MAIL_ID_LENGTH + MARK_LENGTH + _MAC_LENGTH
LONGEST_LOCAL_PART: Final = 64
LONGEST_MAILBOX: Final = LONGEST_LOCAL_PART - 1 - TAG_LENGTH
"""Characters of the return path's own local part, at most."""


class Bounced(NamedTuple):
    """Which mail a return path is of."""

    mail_id: str
    mark: str
    """Of its campaign."""


@lru_cache(maxsize=10_000)
def mark_of(campaign: str) -> str:
    """What stands for a campaign's id; two of 10,000 campaigns share one with a probability of 5e-5."""
    return _base32(blake2b(campaign.encode(), digest_size=5, person=b"verp").digest())


class Verp:
    """Makes return paths; 1 µs each. Raises `ValueError` for a secret shorter than 16 bytes."""

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"The secret of return paths is too short: set verp_secret to at least {MIN_SECRET_BYTES} random characters."
            )
        key = hmac.digest(secret.encode(), b"bounce", "sha256")
        self._begin = blake2b(key=key, digest_size=10).copy

    def address(self, return_path: str, campaign: str, mail_id: str) -> str:
        """The return path of one mail; the null reverse-path stays, and so does one whose local part is too long."""
        mailbox, at, domain = return_path.rpartition("@")
        if not at or len(mailbox) > LONGEST_MAILBOX:
            return return_path
        signed = mail_id + mark_of(campaign)
        return f"{mailbox}+{signed}{self.mac(signed)}@{domain}"

    def mac(self, signed: str) -> str:
        begun = self._begin()
        begun.update(signed.encode("ascii", "replace"))
        return _base32(begun.digest())[:_MAC_LENGTH]


class VerpChecker:
    """Reads return paths, whichever of some secrets made them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._makers = [Verp(secret) for secret in secrets]

    def read(self, address: str) -> Bounced | None:
        """None for an address that is not ours to the last character; the case does not matter."""
        tag = address.rpartition("@")[0].rpartition("+")[2].lower()
        if len(tag) != TAG_LENGTH or not tag.isascii():
            return None
        signed, mac = tag[:-_MAC_LENGTH], tag[-_MAC_LENGTH:]
        known = [hmac.compare_digest(maker.mac(signed), mac) for maker in self._makers]
        return Bounced(signed[: ids.MAIL_ID_LENGTH], signed[ids.MAIL_ID_LENGTH :]) if any(known) else None


def _base32(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()
