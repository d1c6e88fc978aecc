"""Tokens in links: they say which mail a link was in, and nobody without the secret can make one.

`<campaign>.<mail id>.<mac>`, all safe in URLs. The MAC is keyed BLAKE2b (RFC 7693 §2.9) of 96 bits: it is checked online only,
where guessing one takes 2^95 requests. What a token is for goes into the MAC, so that one from a tracked link cannot
unsubscribe anybody. Tokens do not expire: a mail found years later must still let its reader unsubscribe. So a secret that
is replaced stays good for checking: the newest signs, all of them check.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from events import ids

Purpose = Literal["unsubscribe", "track"]
"""`track` serves the pixel and every link of a mail: whoever holds one of them holds the mail."""

MIN_SECRET_BYTES: Final = 16
_MAC_BYTES: Final = 12


class BadToken(ValueError):
    """This token was not made by us, not for this purpose, or not with this secret."""


class Ticket(NamedTuple):
    """What a token stands for."""

    campaign: str
    mail_id: str


class Signer:
    """Makes the tokens of one purpose; 1 µs each. Raises `ValueError` for a secret shorter than 16 bytes."""

    def __init__(self, secret: str, purpose: Purpose) -> None:
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"The secret that signs links is missing or too short: set link_secret to at least {MIN_SECRET_BYTES} "
                "random characters, the same for every producer and the web app."
            )
        key = hmac.digest(secret.encode(), purpose.encode(), "sha256")
        self._begin = blake2b(key=key, digest_size=_MAC_BYTES).copy

    def token(self, campaign: str, mail_id: str) -> str:
        """Neither part may contain a dot; campaign ids and mail ids do not."""
        signed = f"{campaign}.{mail_id}"
        return f"{signed}.{self.mac(signed)}"

    def mac(self, signed: str) -> str:
        """The last part of the token that begins with `signed`: 16 letters, digits, hyphens and underscores."""
        begun = self._begin()
        begun.update(signed.encode("utf-8", "surrogatepass"))
        return urlsafe_b64encode(begun.digest()).decode("ascii")


class Checker:
    """Checks the tokens of one purpose, whichever of some secrets made them. Raises `ValueError` as `Signer` does."""

    def __init__(self, secrets: Sequence[str], purpose: Purpose) -> None:
        """`secrets`: the newest first, and at least that one."""
        self._signers = [Signer(secret, purpose) for secret in secrets] or [Signer("", purpose)]

    def check(self, token: str) -> Ticket:
        """Raises `BadToken`. Takes the same time however much of the MAC is right."""
        signed, _, mac = token.rpartition(".")
        campaign, _, mail_id = signed.partition(".")
        given = mac.encode("utf-8", "replace")
        known = [hmac.compare_digest(signer.mac(signed).encode(), given) for signer in self._signers]
        if not any(known) or not ids.is_campaign_id(campaign):
            raise BadToken("The link is damaged or was not made here.")
        return Ticket(campaign, mail_id)
