"""Mail to return paths: of what kind, about whom, whether it is proven to be about a mail of ours, and what that comes to."""

from __future__ import annotations

import re
from functools import cache
from typing import Final, get_args

import msgspec

from analytics.bounces import read, telling
from analytics.bounces.base import Action, Kind, Report
from analytics.bounces.correlation import Ours, identify
from analytics.callbacks.base import Request
from analytics.post.intake import KEPT_BYTES
from benchmarks.fuzz import callbacks, proving, seeds
from benchmarks.fuzz.case import Input, Parser, promise
from events.schemas import FailureClass
from events.tokens import Checker
from events.verp import VerpChecker, mark_of
from jetpost.inspection import bounce

_VERP: Final = VerpChecker(["sixteen or more letters", "an old one, long enough"])
_LINKS: Final = Checker(["of the fuzzing, and nothing else"], "unsubscribe")
_CAMPAIGNS: Final = {mark_of("autumn"): "autumn"}
_MOST_NOTICES: Final = 20


def parsers() -> list[Parser]:
    given = seeds.bounces()
    return [
        Parser(
            name="bounce mail",
            kinds=("mail",),
            seeds=[(raw,) for raw in given],
            words=_WORDS,
            run=_read,
            share=14,
            most_bytes=KEPT_BYTES,
        )
    ]


def _identify(report: Report) -> Ours | None:
    return identify(report, _VERP, _LINKS, _CAMPAIGNS.get)


@cache
def _known() -> frozenset[str]:
    """The mails that the seeds prove to be about: found by what only we can make, wherever in them it stands."""
    raw = b"\n".join(seeds.bounces()).decode("latin-1")
    bounced = filter(None, map(_VERP.read, re.findall(r"[\w+]{1,64}@news\.example\.com", raw)))
    tickets = map(_LINKS.check, re.findall(r"/u/(autumn\.[a-z2-7]{16}\.[\w-]{16})>", raw))
    return frozenset(f"{one.mail_id}.autumn" for one in (*bounced, *tickets))


def _read(case: Input) -> None:
    (raw,) = case
    report = read.read(raw)
    _hold(report)
    ours = _identify(report)
    if ours is not None and ours.proven:
        promise(f"{ours.mail_id}.{ours.campaign}" in _known(), f"a forgery is believed to be about {ours}")
        told = telling.ESP.tell(Request(telling.headers(ours), raw, proving.NOW))
        promise(len(told.events) <= 1, "a mail of ours has one recipient")
        callbacks.hold(telling.NAME, told)
    promise(not telling.events(report, None), "what is not proven tells something")
    msgspec.json.encode(bounce.shown(report))


def _hold(report: Report) -> None:
    promise(report.kind in get_args(Kind), f"the kind {report.kind!r}")
    promise(len(report.notices) <= _MOST_NOTICES, f"{len(report.notices)} notices")
    for notice in report.notices:
        promise(notice.action is None or notice.action in get_args(Action), f"the action {notice.action!r}")
        promise(notice.failure_class is None or notice.failure_class in get_args(FailureClass), "a class that is none")
        promise(notice.hard <= (notice.action == "failed"), "a hard bounce of what did not fail")
        promise("@" in notice.recipient, f"the recipient {notice.recipient!r}")
        promise(0 <= notice.code < 600, f"the code {notice.code}")


_WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            "Content-Type: ",
            "message/delivery-status",
            "message/rfc822",
            "message/feedback-report",
            "text/rfc822-headers",
        ),
        *(
            "multipart/report; report-type=delivery-status; boundary=m0",
            "; boundary=",
            'boundary="',
            "text/html",
            "--m0",
        ),
        *(
            "charset=utf-7",
            "charset=idna",
            "charset=unicode_escape",
            "charset=rot13",
            "charset=base64",
            "charset*=x''%ff",
        ),
        *(
            "Content-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: x-uuencode",
            "begin 644 x\n",
            "quoted-printable",
        ),
        *("Final-Recipient: rfc822;", "Original-Recipient: utf-8;\\x{110000}", "Action: failed", "Action: delayed"),
        *(
            "Status: 5.1.1",
            "Diagnostic-Code: smtp; 550",
            "Diagnostic-Code: x-unix;",
            "Reporting-MTA: dns;",
            "Remote-MTA:",
        ),
        *(
            "Feedback-Type: abuse",
            "Original-Rcpt-To:",
            "X-Failed-Recipients: ",
            "Auto-Submitted: auto-replied",
            "Subject: ",
        ),
        *(
            "=?utf-8?q?=ff=fe?=",
            "=?utf-8?b?////?=",
            "=?x?q?a?=",
            "=?utf-8?q?",
            "=?idna?q?a?=",
            "=?iso-2022-jp?b?GyRC?=",
        ),
        *("Return-Path: <>", "To: ", "List-Unsubscribe: <", "Message-ID: <", "References: ", "Received: from "),
        *(
            "<ann@example.org>:",
            "ann@example.org",
            "@",
            "<>",
            "<<<",
            ">>> DATA\n<<< 550",
            "550 5.1.1",
            "550-",
            "#5.1.1",
        ),
        *(
            "user unknown",
            "could not be delivered",
            "Below this line is a copy",
            "----- Original message -----",
            "> ",
            ">>",
        ),
        *("autumn.5wdgaoaceloexqtr.LK4_NgCuYor21fS3", "bounces+5wdgaoaceloexqtrkgf3vvw42f4wuhmweqruc@news.example.com"),
        *(
            "From: MAILER-DAEMON",
            "staff@hotmail.com",
            "\n\n",
            "\r\n\r\n",
            "\n \n",
            "\t",
            "(",
            "((((((((",
            ";;;;;;;;",
            "\x00",
        ),
        *("=\n", "=3D", "%%%%", "é", "ё", "配信不能", "\u2028", "a" * 80, "." * 80, "-" * 80, "*" * 80, " " * 80),
    )
)
