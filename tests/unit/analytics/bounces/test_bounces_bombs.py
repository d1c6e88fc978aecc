"""Mails that are made to take long to read, by whoever likes to write to a return path: each is read in bounded time."""

from __future__ import annotations

import pytest

from analytics.bounces.read import read
from benchmarks.fuzz.running import limited

SECONDS = 2.0
"""Of CPU. Each of these took longer once, most of them minutes."""
KEPT = 256 * 1024

SERVER = b"From: MAILER-DAEMON@mx.example\nTo: a@b.example\nSubject: failure\n"
TEXT = SERVER + b"\nuser unknown\n>>> DATA\n<<< 550 \n"
STATUS = (
    SERVER
    + b"Content-Type: multipart/report; boundary=m\n\n--m\n\nuser unknown\n"
    + b"--m\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
)
GROUP = b"Final-Recipient: rfc822; ann%d@example.org\nAction: failed\n"


def filled(begin: bytes, word: bytes, size: int = KEPT) -> bytes:
    return begin + word * ((size - len(begin)) // len(word))


@pytest.mark.parametrize(
    "mail",
    [
        filled(TEXT, b"-", 80_000),
        filled(TEXT, b"> - "),
        filled(TEXT, b"\n\n"),
        filled(TEXT, b"<<< 503", 80_000),
        filled(TEXT, b"=\n"),
        filled(STATUS, b"\n\n"),
        filled(STATUS, b"\r\n\r\n"),
        STATUS + b"\n\n" * 900,
        filled(STATUS + GROUP % 0 + b"Diagnostic-Code: smtp;", b" ", 80_000),
        filled(STATUS, b"Final-Recipient: rfc822; ann@example.org\n\n"),
        STATUS + b"".join(GROUP % number + b"\n" for number in range(4_000)),
        STATUS
        + b"".join(GROUP % number + b"Diagnostic-Code: smtp; " + b"auth" * 240 + b"\n\n" for number in range(240)),
        filled(SERVER + b"Content-Type: ", b";"),
        filled(SERVER + b"Content-Type: multipart/report", b"; boundary=m\n "),
        filled(SERVER + b"Subject: ", b" \t"),
        filled(SERVER + b"Subject: ", b"=?utf-8?q?a?= "),
        filled(b"", b"Content-Type: multipart/mixed; boundary=m\n\n--m\n"),
        filled(SERVER + b"Content-Type: text/html\n\n", b"<a><b>"),
    ],
    ids=range(18),
)
def test_a_bomb_is_read_in_bounded_time(mail):
    with limited(SECONDS):
        assert len(read(mail).notices) <= 20
