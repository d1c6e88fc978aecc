"""`jetpost inspect`, as a person or a program uses it."""

import base64
import hmac
import json

import pytest
from typer.testing import CliRunner

from jetpost import cli

SECRET = "whsec_" + base64.b64encode(b"of the tests, 24 bytes..").decode()
AT = 1_800_000_000
BODY = b'{"id": "1", "event": "bounced", "bounce": "hard", "recipient": "ann@example.com", "at": 1800000000}'
BOUNCE = b"""From: MAILER-DAEMON@mx.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def inspect(*arguments: str, stdin: bytes = b"", code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["inspect", *arguments], input=stdin, env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    return result.output if not code or result.output else str(result.exception)


def signed() -> str:
    """The headers of `BODY`, as a file has them."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"1.{AT}.".encode() + BODY, "sha256")).decode()
    return f"webhook-id: 1\nWebhook-Timestamp: {AT}\nwebhook-signature: v1,{signature}\n"


def test_a_callback_is_checked_and_told(tmp_path):
    (tmp_path / "headers.txt").write_text(signed())
    (tmp_path / "secrets.json").write_text(json.dumps({"webhook_secret": SECRET}))
    options = ("webhook", "standard", "--headers", "headers.txt", "--secrets", "secrets.json")
    told = json.loads(inspect(*options, "--now", str(AT), stdin=BODY))
    assert (told["verdict"], told["status"], told["events"][0]["recipient"]) == ("valid", 200, "ann@example.com")
    assert json.loads(inspect(*options, "--now", str(AT + 900), stdin=BODY))["verdict"] == "stale"
    assert json.loads(inspect("webhook", "standard", stdin=BODY))["verdict"] == "skipped"


def test_many_callbacks_are_answered_line_by_line_whatever_is_in_them():
    lines = [{"esp": "standard", "body": BODY.decode(), "secrets": "skip"}, {"esp": "nobody"}, {"esp": 1}]
    stdin = b"\n".join(json.dumps(line).encode() for line in lines)
    answers = [json.loads(line) for line in inspect("webhook", "--jsonl", stdin=stdin).splitlines()]
    assert answers[0]["events"][0]["bounce"] == "hard"
    assert ["error" in answer for answer in answers] == [False, True, True]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "secrets.json is no JSON object with secrets"),
        ("[1]", "secrets.json is no JSON object with secrets"),
        ('{"signing_keys": "x"}', "'signing_keys' is no secret of a callback; there are signing_key, public_key"),
        ('{"signing_key": 1}', "these secrets cannot be used"),
    ],
)
def test_secrets_that_cannot_be_used_are_refused(tmp_path, content, says):
    (tmp_path / "secrets.json").write_text(content)
    assert says in inspect("webhook", "mailgun", "--secrets", "secrets.json", stdin=BODY, code=1)


@pytest.mark.parametrize("option", ["--headers", "--secrets"])
def test_a_file_that_is_not_there_is_named(option):
    assert "does not exist" in inspect("webhook", "standard", option, "none", stdin=BODY, code=2)


def test_a_reply_is_judged():
    told = json.loads(inspect("reply", "550 5.1.1 no such user", "--provider", "gmail"))
    assert (told["class"], told["suppress"]) == ("hard", True)
    assert json.loads(inspect("reply", "--jsonl", stdin=b'{"reply": "451 4.7.1 later"}'))["suppress"] is False


def test_a_bounce_is_read(tmp_path):
    told = json.loads(inspect("bounce", stdin=BOUNCE))
    assert (told["kind"], told["recipients"][0]["recipient"], told["recipients"][0]["hard"]) == (
        "bounce",
        "ann@example.org",
        True,
    )
    (tmp_path / "bounce.eml").write_bytes(BOUNCE)
    assert json.loads(inspect("bounce", "--jsonl", stdin=b'{"file": "bounce.eml"}')) == {"file": "bounce.eml", **told}


def test_only_addresses_of_amazon_may_be_fetched():
    certificate = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem"
    confirm = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=a"
    assert "may be fetched" in inspect("url", "--kind", "SigningCertURL", certificate)
    assert "may be fetched" in inspect("url", "--kind", "SubscribeURL", confirm)
    assert "must not be" in inspect("url", "--kind", "SubscribeURL", certificate, code=1)
    assert "must not be" in inspect("url", "--kind", "SigningCertURL", "https://example.com/x.pem", code=1)
