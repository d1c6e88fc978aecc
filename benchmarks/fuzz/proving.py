"""Callbacks that prove who they are: the same keys and signatures at every run, so that a case is the same, too."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from analytics.callbacks.base import Request, Secrets

NOW: Final = 1_795_514_400.0
CERTIFICATE_URL: Final = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-fuzz.pem"
_TOPIC: Final = "arn:aws:sns:eu-central-1:123456789012:bounces"
_KEY: Final = b"the key of the fuzzing.."
_PAIR: Final = "esp:pass:wörd"
_TOKEN: Final = "token-of-the-fuzzing"
_PRIMES: Final = (
    0xC6676D404E1E14495C973EE8CFD862C26854D196B01E5585147270B26AA5917EBD6F99A2B44B2DC4C08E75D1E0128F302C6BB41108C196DD06C343A1F81ADA6D,
    0xCA3590AF9DFB936E759916DB01E99EDD6055AFA915DF4ACFF3E05512B0A042AAA329E278035E1451B56590CBF24765CB39170EF7E8225EC181C83DCC293A0C1F,
)
_SNS_SIGNED: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@cache
def _ecdsa() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(7**80, ec.SECP256R1())


@cache
def _rsa() -> rsa.RSAPrivateKey:
    p, q = _PRIMES
    private = pow(65_537, -1, (p - 1) * (q - 1))
    parts = (rsa.rsa_crt_dmp1(private, p), rsa.rsa_crt_dmq1(private, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, private, *parts, rsa.RSAPublicNumbers(65_537, p * q)).private_key()


@cache
def certificate() -> bytes:
    """Of Amazon's, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_rsa().public_key())
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2036, 1, 1, tzinfo=UTC)
    )
    return builder.serial_number(1).sign(_rsa(), SHA256()).public_bytes(Encoding.PEM)


@cache
def _public_key() -> str:
    public = _ecdsa().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(public).decode()


def secrets(pem: bytes | None = None) -> Secrets:
    """Of an endpoint of any ESP. `pem`: what SigningCertURL serves."""
    return Secrets(
        signing_key=("old", _KEY.decode()),
        public_key=(_public_key(),),
        webhook_secret=("whsec_b2xk", f"whsec_{base64.b64encode(_KEY).decode()}"),
        basic=("old:pair", _PAIR),
        bearer=(_TOKEN,),
        headers={"X-Own": (_TOKEN,)},
        topic_arns=(_TOPIC,),
        certificates={} if pem is None else {CERTIFICATE_URL: pem.decode("ascii", "replace")},
    )


def prove(esp: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """The callback in each way in which this ESP may prove itself."""
    kind = {"content-type": "application/json"}
    match esp:
        case "sendgrid":
            signed = _ecdsa().sign(b"%d" % NOW + body, ec.ECDSA(SHA256(), deterministic_signing=True))
            prefix, signature = "x-twilio-email-event-webhook", base64.b64encode(signed).decode()
            return [({**kind, f"{prefix}-signature": signature, f"{prefix}-timestamp": f"{NOW:.0f}"}, body)]
        case "resend":
            return [({**kind, **_standard("svix", body)}, body)]
        case "standard":
            own = hmac.digest(f"whsec_{base64.b64encode(_KEY).decode()}".encode(), b"%d." % NOW + body, hashlib.sha256)
            by_own = {"x-signature": f"sha256={own.hex()}", "x-timestamp": f"{NOW:.0f}"}
            return [({**kind, **_standard("webhook", body)}, body), ({**kind, **by_own}, body)]
        case "mailgun":
            return _mailgun(json.loads(body))
        case "ses":
            return [_sns("Notification", Message=body.decode()), _subscription()]
        case _:
            basic = base64.b64encode(_PAIR.encode()).decode()
            ways = ({"authorization": f"Basic {basic}"}, {"authorization": f"Bearer {_TOKEN}"}, {"x-own": _TOKEN})
            return [({**kind, **way}, body) for way in ways]


def _standard(prefix: str, body: bytes) -> dict[str, str]:
    digest = hmac.digest(_KEY, f"msg_1.{NOW:.0f}.".encode() + body, hashlib.sha256)
    signature = f"v1,AAAA v1,{base64.b64encode(digest).decode()}"
    return {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": f"{NOW:.0f}", f"{prefix}-signature": signature}


def _mailgun(event: dict[str, Any]) -> list[tuple[dict[str, str], bytes]]:
    digest = hmac.digest(_KEY, f"{NOW:.0f}token".encode(), hashlib.sha256).hex()
    signature = {"timestamp": f"{NOW:.0f}", "token": "token", "signature": digest}
    fields = {**signature, "event": event["event"], "recipient": event["recipient"], "code": "550", "error": "unknown"}
    parts = "".join(
        f'--mark\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    return [
        ({"content-type": "application/json"}, json.dumps({"signature": signature, "event-data": event}).encode()),
        ({"content-type": "application/x-www-form-urlencoded"}, urlencode(fields).encode()),
        ({"content-type": 'multipart/form-data; boundary="mark"'}, f"{parts}--mark--\r\n".encode()),
    ]


def _sns(kind: str, **fields: str) -> tuple[dict[str, str], bytes]:
    message = {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": _TOPIC,
        "Timestamp": "2026-11-24T10:00:00.500Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        **fields,
    }
    text = "".join(f"{name}\n{message[name]}\n" for name in _SNS_SIGNED if name in message)
    message["Signature"] = base64.b64encode(_rsa().sign(text.encode(), PKCS1v15(), SHA256())).decode()
    head = {"x-amz-sns-message-type": kind, "content-type": "text/plain; charset=UTF-8"}
    return head, json.dumps(message).encode()


def _subscription() -> tuple[dict[str, str], bytes]:
    url = f"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={_TOPIC}&Token=2336412f37"
    return _sns("SubscriptionConfirmation", Message="You have chosen", SubscribeURL=url, Token="2336412f37")


def what_was_signed(esp: str, request: Request) -> object:
    """What the proof of a callback covers, read by other means than the parser's: who is believed must not have changed it."""
    headers, body = request.headers, request.body
    match esp:
        case "sendgrid":
            return headers["x-twilio-email-event-webhook-timestamp"].encode() + body
        case "resend" | "standard":
            return [headers.get(name) for name in _signed_headers(headers)], body
        case "mailgun":
            return "token"  # it does not cover the event; who has no token has no signature
        case "ses":
            message = json.loads(body)
            return [message.get(name) for name in (*_SNS_SIGNED, "Subject")]
        case _:
            return "credentials"


def _signed_headers(headers: Mapping[str, str]) -> tuple[str, ...]:
    if "x-signature" in headers:
        return ("x-timestamp",)
    whole = ("webhook-id", "webhook-timestamp", "webhook-signature")
    prefix = "webhook" if all(headers.get(name) for name in whole) else "svix"
    return (f"{prefix}-id", f"{prefix}-timestamp")
