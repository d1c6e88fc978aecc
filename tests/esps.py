"""A fake ESP: callbacks as real ones write and sign them."""

import base64
import functools
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from itertools import count

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from analytics.web.webhooks.settings import Webhook

SIGNING_SECRET = "key-of-the-tests"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"of the tests, 24 bytes..").decode()
PAIR = "esp:pass:word"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:bounces"
CERTIFICATE_URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-test.pem"
SUBSCRIBE_URL = f"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=abc"

_ecdsa = functools.cache(lambda: ec.generate_private_key(ec.SECP256R1()))
_numbers = count(1)


def sendgrid_key() -> str:
    public = _ecdsa().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(public).decode()


@functools.cache
def amazon() -> tuple[rsa.RSAPrivateKey, str]:
    """A key, and the certificate that SigningCertURL would serve."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=2))
    return key, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def webhooks(**changes: object) -> dict[str, Webhook]:
    """An endpoint `main-<esp>` for each."""
    by_basic = {"basic_secrets": (PAIR,)}
    secrets = {
        "sendgrid": {"public_keys": (sendgrid_key(),)},
        "mailgun": {"signing_secrets": (SIGNING_SECRET,)},
        "resend": {"signing_secrets": (STANDARD_SECRET,)},
        "standard": {"signing_secrets": (STANDARD_SECRET,)},
        "ses": {"topic_arns": (TOPIC,)},
    }
    names = ("brevo", "mailjet", "postmark", "sparkpost", *secrets)
    return {f"main-{esp}": Webhook(esp=esp, **secrets.get(esp, by_basic), **changes) for esp in names}


def path(esp: str) -> str:
    return f"/webhooks/{esp}/main-{esp}"


def signed(esp: str, body: bytes, now: float, *, known_as: str = "") -> tuple[dict[str, str], bytes]:
    """Headers and body of a callback that proves who it is. Mailgun's and Amazon's signature is in the body."""
    known_as = known_as or f"msg_{next(_numbers)}"
    match esp:
        case "sendgrid":
            at = str(int(now))
            signature = base64.b64encode(_ecdsa().sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
            prefix = "x-twilio-email-event-webhook"
            return {f"{prefix}-signature": signature, f"{prefix}-timestamp": at}, body
        case "resend" | "standard":
            key = base64.b64decode(STANDARD_SECRET.removeprefix("whsec_"))
            digest = hmac.digest(key, f"{known_as}.{int(now)}.".encode() + body, hashlib.sha256)
            made = f"v1,{base64.b64encode(digest).decode()}"
            return {"webhook-id": known_as, "webhook-timestamp": str(int(now)), "webhook-signature": made}, body
        case "mailgun":
            token, at = known_as, str(int(now))
            digest = hmac.digest(SIGNING_SECRET.encode(), f"{at}{token}".encode(), hashlib.sha256).hex()
            signature = {"timestamp": at, "token": token, "signature": digest}
            return {}, json.dumps({"signature": signature, "event-data": json.loads(body)}).encode()
        case "ses":
            return sns("Notification", now, known_as, Message=body.decode())
        case _:
            return {"authorization": f"Basic {base64.b64encode(PAIR.encode()).decode()}"}, body


def sns(kind: str, now: float, known_as: str = "", **fields: str) -> tuple[dict[str, str], bytes]:
    """A message of Amazon SNS."""
    key, _ = amazon()
    message = {
        "Type": kind,
        "MessageId": known_as or f"msg_{next(_numbers)}",
        "TopicArn": TOPIC,
        "Timestamp": datetime.fromtimestamp(now, UTC).isoformat(),
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        **fields,
    }
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    message["Signature"] = base64.b64encode(key.sign(text.encode(), PKCS1v15(), hashes.SHA256())).decode()
    return {"x-amz-sns-message-type": kind, "content-type": "text/plain"}, json.dumps(message).encode()


def subscription(now: float) -> tuple[dict[str, str], bytes]:
    return sns("SubscriptionConfirmation", now, Message="hello", SubscribeURL=SUBSCRIBE_URL, Token="abc")


def event(esp: str, name: str, reference: str, recipient: str, at: float, known_as: str = "") -> dict:
    """One event in the ESP's words: `delivered`, `hard`, `soft`, `complained`, `opened`, `clicked`, `unsubscribed`."""
    made = {"sendgrid": _sendgrid, "mailgun": _mailgun, "ses": _ses}.get(esp, _standard)
    return made(name, reference, recipient, at, known_as or f"{name}-{reference}")


URL = {"url": "https://shop.example/"}


def _sendgrid(name: str, reference: str, recipient: str, at: float, known_as: str) -> dict:
    kinds = {"hard": "bounce", "soft": "bounce", "complained": "spamreport", "opened": "open", "clicked": "click"}
    more = {
        "hard": {"type": "bounce", "reason": "550 5.1.1 no such user"},
        "soft": {"type": "blocked", "reason": "550 5.7.1 spam"},
        "clicked": URL,
    }
    return {
        "email": recipient,
        "timestamp": int(at),
        "event": kinds.get(name, name),
        "jetpost": reference,
        "sg_event_id": known_as,
        "sg_message_id": f"sg-{reference}",
        **more.get(name, {}),
    }


def _mailgun(name: str, reference: str, recipient: str, at: float, known_as: str) -> dict:
    more = {
        "hard": {"severity": "permanent", "delivery-status": {"code": 550, "message": "5.1.1 no such user"}},
        "soft": {"severity": "permanent", "delivery-status": {"code": 452, "message": "full"}},
        "clicked": URL,
    }
    return {
        "event": "failed" if name in {"hard", "soft"} else name,
        "id": known_as,
        "timestamp": at,
        "recipient": recipient,
        "user-variables": {"jetpost": reference},
        **more.get(name, {}),
    }


def _ses(name: str, reference: str, recipient: str, at: float, _known_as: str) -> dict:
    kinds = {"hard": "Bounce", "soft": "Bounce", "delivered": "Delivery", "complained": "Complaint"}
    kind = {**kinds, "opened": "Open", "clicked": "Click"}[name]
    bounce = {"bounceType": "Permanent" if name == "hard" else "Transient", "bounceSubType": "General"}
    details = {
        "Bounce": {**bounce, "bouncedRecipients": [{"emailAddress": recipient}]},
        "Delivery": {"recipients": [recipient]},
        "Complaint": {"complainedRecipients": [{"emailAddress": recipient}]},
        "Click": {"link": "https://shop.example/"},
    }
    return {
        "eventType": kind,
        kind.lower(): {**details.get(kind, {}), "timestamp": datetime.fromtimestamp(at, UTC).isoformat()},
        "mail": {"messageId": f"ses-{reference}", "destination": [recipient], "tags": {"jetpost": [reference]}},
    }


def _standard(name: str, reference: str, recipient: str, at: float, known_as: str) -> dict:
    kinds = {"hard": {"event": "bounced", "bounce": "hard"}, "soft": {"event": "bounced", "bounce": "soft"}}
    named = {"id": known_as, "event": name, "recipient": recipient, "at": at, "reference": reference}
    return {**named, **(URL if name == "clicked" else {}), **kinds.get(name, {})}
