"""Real material that cases are made from: that of the repository, and more where it lies beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ROOT / "tests" / "data"
BESIDE: Final = ROOT.parent / "shared" / "samples"
"""A collection of others' callbacks, replies and bounces, where there is one (`make grade`)."""


def callbacks(esp: str) -> list[bytes]:
    """Bodies."""
    bodies: list[Any] = json.loads((OURS / "callbacks" / f"{esp}.json").read_bytes())
    return [json.dumps(body, ensure_ascii=False).encode() for body in bodies]


@cache
def more_callbacks(esp: str, folder: Path = BESIDE) -> list[tuple[dict[str, str], bytes]]:
    """Headers and bodies."""
    found = []
    for file in sorted((folder / "webhooks").rglob("*.json")):
        sample = json.loads(file.read_bytes())
        if sample["esp"].replace("amazon_ses", "ses") == esp:
            request = sample["request"]
            body = base64.b64decode(request["body_b64"]) if "body_b64" in request else request["body"].encode()
            found.append((request["headers"], body))
    return found


def bounces(folder: Path = BESIDE) -> list[bytes]:
    files = [*sorted((OURS / "bounces").glob("*.eml")), *sorted((folder / "dsn").rglob("*.eml"))]
    return [file.read_bytes() for file in files]


def replies(folder: Path = BESIDE) -> list[bytes]:
    return [*_REPLIES, *(row["reply"].encode() for row in _rows(folder / "smtp_replies", "reply"))]


def urls(folder: Path = BESIDE) -> list[bytes]:
    return [*_URLS, *(row["url"].encode() for row in _rows(folder / "signatures", "url"))]


def _rows(folder: Path, having: str) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            if isinstance(row.get(having), str):
                yield row


_REPLIES: Final = tuple(
    text.encode()
    for text in (
        "550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550-5.1.1 double-checking"
        " the recipient's email address for typos or\r\n550 5.1.1 unnecessary spaces. a1-20020a05 - gsmtp",
        "452-4.2.2 The email account that you tried to reach is over quota.\n452 4.2.2 Please try later - gsmtp",
        "421 4.7.28 Our system has detected an unusual rate of unsolicited mail. Try again in 10 minutes",
        "451 4.7.1 Greylisting in action, please come back in 00:05:00",
        "smtp; 550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.example.net",
        "554 5.7.1 [CS] Message blocked due to the sending domain's reputation (S3150)",
        "5.1.10 smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [mx1.example.org]",
        "421 RP-001 (BAY004-MC1F38) Unfortunately, some messages from 192.0.2.1 weren't sent. Please retry in 24 hours",
        "250 2.0.0 OK 1795514400 gsmtp",
        "550 Benutzer unbekannt / Utilisateur inconnu / ユーザーが見つかりません",
    )
)
_URLS: Final = tuple(
    text.encode()
    for text in (
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem",
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:x&Token=2336412f37",
        "https://sns.eu-central-1.amazonaws.com:443/x.pem",
        "http://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/x.pem",
        "https://evil.example\\@sns.eu-central-1.amazonaws.com/x.pem",
        "https://[::ffff:127.0.0.1]/x.pem",
        "https://169.254.169.254/latest/meta-data/x.pem",
    )
)
