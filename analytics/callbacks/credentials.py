"""Who sent a callback, told by what they know: HTTP Basic, bearer tokens, headers of one's own, and Standard Webhooks.

Everything fails closed: without a secret nothing is valid. Comparisons take the same time however much is right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from analytics.callbacks.base import Request, Secrets, Verdict

TOLERANCE_SECONDS: Final = 300.0
"""A Standard Webhooks timestamp may be so far from now, to either side (its specification, "verifying authenticity")."""


def same(given: str, expected: str) -> bool:
    """False where nothing is expected."""
    return bool(expected) and hmac.compare_digest(_bytes(given), _bytes(expected))


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def by_credentials(request: Request, secrets: Secrets) -> Verdict:
    """Any one of what the endpoint has will do; several must not be tried one after the other by a stranger faster."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    good = [False]
    if scheme.lower() == "basic":
        user = _basic(given.strip())
        good += [user is not None and same(user, allowed) for allowed in secrets.basic]
    if scheme.lower() == "bearer":
        good += [same(given.strip(), allowed) for allowed in secrets.bearer]
    for name, values in secrets.headers.items():
        good += [same(request.headers.get(name.lower(), ""), value) for value in values]
    return "valid" if any(good) else "invalid"


def _basic(given: str) -> str | None:
    """`user:password` (RFC 7617), where the password may have colons; None for what is none."""
    try:
        decoded = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded.decode("utf-8", "surrogateescape") if b":" in decoded else None


def by_standard_webhook(request: Request, secrets: Iterable[str]) -> Verdict:
    """HMAC-SHA256 over id, timestamp and body (https://www.standardwebhooks.com, https://docs.svix.com/receiving/verifying-payloads/how-manual).

    Our own because libraries take the time from the system clock.
    """
    headers = request.headers
    for prefix in ("webhook", "svix"):
        identifier, sent_at, signatures = (
            headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if identifier and sent_at and signatures:
            break
    else:
        return "invalid"
    if not (sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 16):
        return "invalid"
    signed = f"{identifier}.{sent_at}.".encode("utf-8", "surrogatepass") + request.body
    given = [value for version, _, value in (part.partition(",") for part in signatures.split(" ")) if version == "v1"]
    keys = [key for secret in secrets if (key := standard_key(secret))]
    expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii") for key in keys]
    if not any(same(one, right) for right in expected for one in given[:_MOST_SIGNATURES]):
        return "invalid"
    return request.dated(int(sent_at), TOLERANCE_SECONDS)


_MOST_SIGNATURES: Final = 16


def standard_key(secret: str) -> bytes:
    """The bytes of `whsec_…`, padded or not; none for what is no key."""
    encoded = secret.removeprefix("whsec_").strip()
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
