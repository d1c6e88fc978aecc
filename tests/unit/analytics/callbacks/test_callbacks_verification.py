"""Only who knows the secret, or has the key, is believed; whatever is changed or missing is noticed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from analytics.callbacks import sns
from analytics.callbacks.base import Request, Secrets
from analytics.callbacks.registry import ESPS

NOW = 1_800_000_000.0
BODY = b'[{"event":"delivered"}]\r\n'
SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes.....").decode().rstrip("=")


def verify(esp: str, headers: dict[str, str], body: bytes, secrets: Secrets, now: float | None = NOW) -> str:
    return ESPS[esp].verify(Request(headers, body, now), secrets)


def standard(
    body: bytes = BODY, at: float = NOW, prefix: str = "webhook", version: str = "v1", secret: str = SECRET
) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    signature = base64.b64encode(hmac.digest(key, f"msg_1.{at:.0f}.".encode() + body, "sha256")).decode()
    return {
        f"{prefix}-id": "msg_1",
        f"{prefix}-timestamp": f"{at:.0f}",
        f"{prefix}-signature": f"{version},{signature}",
    }


@pytest.mark.parametrize("esp", ["resend", "standard"])
@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_a_standard_webhook(esp, prefix):
    secrets = Secrets(webhook_secret=("whsec_b3RoZXI=", SECRET))
    headers = standard(prefix=prefix)
    assert verify(esp, headers, BODY, secrets) == "valid"
    assert verify(esp, headers, BODY.strip(), secrets) == "invalid"
    assert verify(esp, headers, BODY, secrets, NOW + 301) == "stale"
    assert verify(esp, headers, BODY, secrets, NOW - 301) == "stale"
    assert verify(esp, headers, BODY, secrets, None) == "valid"
    several = {**headers, f"{prefix}-signature": f"v1,AAAA v2,x {headers[f'{prefix}-signature']}"}
    assert verify(esp, several, BODY, secrets) == "valid"
    for missing in headers:
        assert (
            verify(esp, {name: value for name, value in headers.items() if name != missing}, BODY, secrets) == "invalid"
        )


@pytest.mark.parametrize(
    "secrets",
    [
        Secrets(),
        Secrets(webhook_secret=("",)),
        Secrets(webhook_secret=("whsec_",)),
        Secrets(webhook_secret=("not base64!",)),
    ],
)
def test_without_a_secret_nothing_is_valid(secrets):
    assert verify("resend", standard(secret="whsec_"), BODY, secrets) == "invalid"


@pytest.mark.parametrize("version", ["v2", "v1a", "", "V1"])
def test_a_right_signature_of_another_version_counts_for_nothing(version):
    assert verify("resend", standard(version=version), BODY, Secrets(webhook_secret=(SECRET,))) == "invalid"


def test_an_hmac_of_ones_own():
    signature = hmac.digest(SECRET.encode(), f"{NOW:.0f}.".encode() + BODY, "sha256").hex()
    headers = {"x-signature": f"sha256={signature}", "x-timestamp": f"{NOW:.0f}"}
    secrets = Secrets(webhook_secret=(SECRET,))
    assert verify("standard", headers, BODY, secrets) == "valid"
    assert verify("standard", headers, BODY + b" ", secrets) == "invalid"
    assert verify("standard", headers, BODY, secrets, NOW + 301) == "stale"
    assert verify("standard", headers, BODY, Secrets()) == "invalid"


def mailgun(key: str = "key", name: str = "signature", at: float = NOW) -> bytes:
    signature = hmac.digest(key.encode(), f"{at:.0f}token".encode(), hashlib.sha256).hex()
    return json.dumps(
        {"signature": {"timestamp": f"{at:.0f}", "token": "token", name: signature}, "event-data": {}}
    ).encode()


def test_mailgun():
    secrets = Secrets(signing_key=("old", "key"))
    assert verify("mailgun", {}, mailgun(), secrets) == "valid"
    assert verify("mailgun", {}, mailgun(name="parent-signature"), secrets) == "valid"
    assert verify("mailgun", {}, mailgun("other"), secrets) == "invalid"
    assert verify("mailgun", {}, mailgun(""), Secrets(signing_key=("",))) == "invalid"
    assert verify("mailgun", {}, mailgun(), Secrets()) == "invalid"
    assert verify("mailgun", {}, mailgun(at=NOW - 6 * 3_600), secrets) == "stale"


def test_a_large_form_is_not_read_for_a_stranger():
    signature = hmac.digest(b"key", f"{NOW:.0f}token".encode(), hashlib.sha256).hex()
    form = f"timestamp={NOW:.0f}&token=token&signature={signature}".encode()
    headers, secrets = {"content-type": "application/x-www-form-urlencoded"}, Secrets(signing_key=("key",))
    assert verify("mailgun", headers, form, secrets) == "valid"
    assert verify("mailgun", headers, form + b"&x=" + b"%41" * 100_000, secrets) == "invalid"


def test_sendgrid():
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signature = base64.b64encode(key.sign(f"{NOW:.0f}".encode() + BODY, ec.ECDSA(SHA256()))).decode()
    headers = {
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": f"{NOW:.0f}",
    }
    der = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    wrong = base64.b64encode(other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    assert verify("sendgrid", headers, BODY, Secrets(public_key=(wrong, der))) == "valid"
    assert verify("sendgrid", headers, BODY, Secrets(public_key=(pem,))) == "valid"
    assert verify("sendgrid", headers, BODY.strip(), Secrets(public_key=(der,))) == "invalid"
    assert verify("sendgrid", headers, BODY, Secrets(public_key=(wrong,))) == "invalid"
    assert verify("sendgrid", headers, BODY, Secrets(public_key=("garbage",))) == "invalid"
    assert verify("sendgrid", {}, BODY, Secrets(public_key=(der,))) == "invalid"
    assert (
        verify("sendgrid", {"authorization": basic("u:p")}, BODY, Secrets(public_key=(der,), basic=("u:p",)))
        == "invalid"
    )


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize("esp", ["postmark", "sparkpost", "mailjet", "brevo", "sendgrid"])
def test_credentials(esp):
    secrets = Secrets(basic=("ann:with:colons", "bob:é"), bearer=("token",), headers={"X-Own": ("yes",)})
    for good in (
        {"authorization": basic("ann:with:colons")},
        {"authorization": basic("bob:é")},
        {"authorization": "bearer token"},
        {"x-own": "yes"},
    ):
        assert verify(esp, good, BODY, secrets) == "valid"
    for bad in (
        {},
        {"authorization": basic("ann:with")},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"authorization": "Bearer "},
        {"authorization": "Digest token"},
        {"x-own": ""},
        {"x-own": "yess"},
    ):
        assert verify(esp, bad, BODY, secrets) == "invalid"
        assert verify(esp, bad, BODY, Secrets(basic=("",), bearer=("",), headers={"X-Own": ("",)})) == "invalid"


CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"


@cache
def amazon() -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    day = datetime(2027, 1, 15, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(day).not_valid_after(day + timedelta(days=1))
    return key, builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def notification(version: str = "2", **changes: object) -> dict[str, object]:
    message: dict[str, object] = {
        "Type": "Notification",
        "MessageId": "n1",
        "TopicArn": TOPIC,
        "Message": "{}",
        "Timestamp": "2027-01-15T08:00:00Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **changes,
    }
    signed = sns._signed(message) or b""
    hash_ = SHA1() if version == "1" else SHA256()
    message["Signature"] = base64.b64encode(amazon()[0].sign(signed, PKCS1v15(), hash_)).decode()
    return message


def sns_verdict(
    message: dict[str, object], headers: dict[str, str] | None = None, topics: tuple[str, ...] = (TOPIC,)
) -> str:
    secrets = Secrets(topic_arns=topics, certificates={CERTIFICATE_URL: amazon()[1]})
    return verify("ses", headers or {}, json.dumps(message).encode(), secrets)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("extra", [{}, {"Subject": "Amazon SES"}, {"Subject": None}])
def test_sns(version, extra):
    assert sns_verdict(notification(version, **extra)) == "valid"


def test_sns_signs_subscriptions_over_other_fields():
    message = notification(
        Type="SubscriptionConfirmation",
        Token="t",
        SubscribeURL="https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
    )
    assert sns_verdict(message) == "valid"
    assert sns_verdict({**message, "Token": "u"}) == "invalid"


def test_a_certificate_with_a_key_of_a_kind_that_nobody_knows_proves_nothing():
    """Found by fuzzing: 1.2.840.113549.1.5.1 in place of RSA's object identifier."""
    body = base64.b64decode("".join(amazon()[1].splitlines()[1:-1]))
    changed = body.replace(b"\x0d\x01\x01\x01\x05\x00", b"\x0d\x01\x05\x01\x05\x00")
    assert changed != body
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(changed).decode()}\n-----END CERTIFICATE-----"
    secrets = Secrets(topic_arns=(TOPIC,), certificates={CERTIFICATE_URL: pem})
    assert verify("ses", {}, json.dumps(notification()).encode(), secrets) == "invalid"


def test_the_header_must_name_the_same_type():
    assert sns_verdict(notification(), {"x-amz-sns-message-type": "Notification"}) == "valid"
    assert sns_verdict(notification(), {"x-amz-sns-message-type": "SubscriptionConfirmation"}) == "invalid"


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        (CERTIFICATE_URL, True),
        ("https://sns.cn-north-1.amazonaws.com.cn/x.pem", True),
        ("https://sns.us-east-1.amazonaws.com:443/x.pem", True),
        ("http://sns.us-east-1.amazonaws.com/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com:8443/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com@evil.example/x.pem", False),
        ("https://user@sns.us-east-1.amazonaws.com/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com/x.pem?y=.pem", False),
        ("https://sns.us-east-1.amazonaws.com/x.txt", False),
        ("https://evil.example/sns.us-east-1.amazonaws.com/x.pem", False),
        ("https://sns-x.s3.amazonaws.com/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com.evil.example/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com\\@evil.example/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com\n.evil.example/x.pem", False),
        ("https://sns.us\u2024east.amazonaws.com/x.pem", False),
        ("https://[::1]/x.pem", False),
        ("https://[/x.pem", False),
        ("", False),
    ],
)
def test_which_certificates_may_be_fetched(url, allowed):
    assert sns.may_fetch_certificate(url) is allowed


def test_what_may_be_called_to_confirm():
    good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=t"
    assert sns.may_confirm(good)
    assert not sns.may_confirm(good.replace("ConfirmSubscription", "DeleteTopic"))
    assert not sns.may_confirm(good + "&Action=DeleteTopic")
    assert not sns.may_confirm("https://evil.example/?Action=ConfirmSubscription")
