"""Amazon SNS messages: whether one is from Amazon, and which of the addresses in it may be fetched.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. A good signature alone proves little: anybody can
subscribe our address to a topic of their own. So the topic must be one that the operator named.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509 import load_pem_x509_certificate

from analytics.callbacks import reading
from analytics.callbacks.base import Request, Secrets, Verdict
from analytics.callbacks.reading import Table

_SIGNED: Final[dict[str, tuple[str, ...]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""By type the fields that are signed, in the order of signing."""
_HASHES: Final[dict[str, type[HashAlgorithm]]] = {"1": SHA1, "2": SHA256}
_is_host = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?", re.ASCII).fullmatch
_MAX_URL: Final = 2_000


def envelope(request: Request) -> Table:
    """The message around what SES says; empty where it is none, or of another type than its header claims.

    Raw message delivery, which drops the envelope and with it the signature, is no such thing.
    """
    try:
        found = reading.table(reading.document(request.body))
    except ValueError:
        return {}
    kind = reading.text(found.get("Type"))
    claimed = request.headers.get("x-amz-sns-message-type", kind)
    return found if kind in _SIGNED and claimed == kind else {}


def verify(request: Request, secrets: Secrets) -> Verdict:
    """The certificate must be in `secrets.certificates` already; without it nothing is valid."""
    message = envelope(request)
    if not message or message.get("TopicArn") not in secrets.topic_arns:
        return "invalid"
    hash_ = _HASHES.get(reading.text(message.get("SignatureVersion")))
    url = certificate_url(message)
    certificate = secrets.certificates.get(url or "")
    key = _public_key(certificate) if certificate else None
    signed, signature = _signed(message), _signature(message)
    if hash_ is None or key is None or signed is None or signature is None:
        return "invalid"
    try:
        key.verify(signature, signed, PKCS1v15(), hash_())
    except InvalidSignature:
        return "invalid"
    return "valid"


def _signed(message: Table) -> bytes | None:
    """What the signature is over; None where a field is no text."""
    lines: list[str] = []
    for name in _SIGNED[message["Type"]]:
        value = message.get(name)
        if name == "Subject" and value is None:
            continue
        if not isinstance(value, str):
            return None
        lines += (name, value)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _signature(message: Table) -> bytes | None:
    try:
        return base64.b64decode(reading.text(message.get("Signature")), validate=True)
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=16)
def _public_key(certificate: str) -> RSAPublicKey | None:
    try:
        key = load_pem_x509_certificate(certificate.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def certificate_url(message: Table) -> str | None:
    """Where the certificate lies that the message is said to be signed with; None where that is not Amazon's."""
    url = message.get("SigningCertURL") or message.get("SigningCertUrl")
    return url if isinstance(url, str) and may_fetch_certificate(url) else None


def subscribe_url(message: Table) -> str | None:
    """What confirms the subscription, of a message that was found valid; None where that is not Amazon's."""
    url = message.get("SubscribeURL")
    return url if isinstance(url, str) and may_confirm(url) else None


def may_fetch_certificate(url: str) -> bool:
    parts = _amazons(url)
    return parts is not None and parts.path.endswith(".pem") and not parts.query


def may_confirm(url: str) -> bool:
    parts = _amazons(url)
    return parts is not None and parse_qs(parts.query).get("Action") == ["ConfirmSubscription"]


def _amazons(url: str) -> SplitResult | None:
    """The parts of an https address at an SNS host, in the plainest spelling; None for any other."""
    if len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or any(char in url for char in " \\#"):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = parts.scheme == "https" and "@" not in parts.netloc and port in {None, 443}
    return parts if plain and parts.hostname is not None and _is_host(parts.hostname) else None
