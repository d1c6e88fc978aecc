"""SendGrid's Event Webhook.

- Events: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
- Signature: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Secrets, Told, Verdict
from analytics.callbacks.reading import Table

_SIGNATURE: Final = "x-twilio-email-event-webhook-signature"
_TIMESTAMP: Final = "x-twilio-email-event-webhook-timestamp"

_NAMES: Final[dict[str, EventName]] = {
    "delivered": "delivered",
    "deferred": "deferred",
    "bounce": "bounced",
    "blocked": "bounced",
    "dropped": "rejected",
    "open": "opened",
    "click": "clicked",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "group_resubscribe": "resubscribed",
}
_SILENT: Final = frozenset({"processed"})
_LISTED: Final = frozenset({"bounced address", "unsubscribed address", "spam reporting address"})
"""Why it dropped a mail to an address that it has on a list."""


def verify(request: Request, secrets: Secrets) -> Verdict:
    """ECDSA over timestamp and raw body, or the credentials of the endpoint's address where no key is set.

    The timestamp is not held against the clock: a callback that is repeated hours later is legal.
    """
    if not secrets.public_key:
        return credentials.by_credentials(request, secrets)
    try:
        signature = base64.b64decode(request.headers.get(_SIGNATURE, ""), validate=True)
    except (binascii.Error, ValueError):
        return "invalid"
    signed = request.headers.get(_TIMESTAMP, "").encode("utf-8", "surrogatepass") + request.body
    return "valid" if any(_signed_by(key, signature, signed) for key in secrets.public_key) else "invalid"


def _signed_by(key: str, signature: bytes, signed: bytes) -> bool:
    public = _public_key(key)
    if public is None or not signature:
        return False
    try:
        public.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=64)
def _public_key(key: str) -> EllipticCurvePublicKey | None:
    try:
        if "-----BEGIN" in key:
            public = load_pem_public_key(key.encode())
        else:
            public = load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return public if isinstance(public, EllipticCurvePublicKey) else None


def is_public_key(key: str) -> bool:
    return _public_key(key) is not None


def any_public_key() -> str:
    """One whose private key nobody has."""
    public = generate_private_key(SECP256R1()).public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def tell(request: Request) -> Told:
    return reading.told_by_json(request.body, _event)


def _event(item: Table) -> Event | str | None:
    kind = reading.text(item.get("event"))
    if kind not in _NAMES:
        return None if kind in _SILENT else kind or "?"
    name, at = _NAMES[kind], reading.moment(item.get("timestamp"))
    words = item.get("reason") or item.get("response")
    reply = reading.reply(None, item.get("status"), words)
    recipient, message_id = reading.text(item.get("email")), reading.identifier(item.get("sg_message_id"))
    known_as = reading.text(item.get("sg_event_id")) or reading.digest(message_id, recipient, at, item.get("url"))
    return Event(
        event=name,
        recipient=recipient,
        message_id=message_id,
        reference=reading.identifier(item.get("jetpost")) or reading.identifier(item.get("smtp-id")),
        at=at,
        bounce=_bounce(kind, item) if name == "bounced" else None,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=name == "rejected" and reading.text(words).strip().lower() in _LISTED,
        url=reading.text(item.get("url")) if name == "clicked" else "",
        machine=item.get("sg_machine_open") is True,
        user_agent=reading.text(item.get("useragent")),
        group=reading.text(item.get("asm_group_id")) if kind.startswith("group_") else "",
        dedupe=f"sendgrid/{kind}/{known_as}",
    )


def _bounce(kind: str, item: Table) -> Bounce:
    """`blocked` is what the receiver refused for reasons of its own: the address may be good."""
    return "soft" if kind == "blocked" or reading.text(item.get("type")).lower() == "blocked" else "hard"


ESP: Final = Esp("sendgrid", verify, tell)
