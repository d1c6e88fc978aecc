"""What is one line long: SMTP replies, tokens of links, return paths, addresses to fetch, forms that recipients post."""

from __future__ import annotations

import re
from typing import Final, get_args

import msgspec

from analytics.callbacks import sns
from analytics.web.public import forms
from analytics.web.public.pages import Choice
from benchmarks.fuzz import seeds
from benchmarks.fuzz.case import Input, Parser, promise
from events import classification, replies
from events.providers import PROVIDERS
from events.replies import Reply, ReplyReader
from events.schemas import FailureClass
from events.tokens import BadToken, Checker, Purpose, Signer, Ticket
from events.verp import Bounced, Verp, VerpChecker
from jetpost.inspection import reply as inspection

_SECRETS: Final = ("of the fuzzing, and nothing else", "an old one, long enough")
_PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)
_MAILS: Final = (("autumn", "5wdgaoaceloexqtr"), ("a", "abcdefghijklmnop"), ("spring-sale-2027", "777777aaaaaaaaaa"))
_LONGEST_TEXT: Final = 2_000
_LONGEST_HINT_SECONDS: Final = 4e9


def parsers() -> list[Parser]:
    return [
        Parser("replies", ("text",), [(text,) for text in seeds.replies()], _REPLY_WORDS, _judge, 12),
        Parser("streams of replies", ("text",), _streams(), _REPLY_WORDS, _cut_into_replies, 5),
        Parser("tokens of links", ("bytes",), _tokens(), _TOKEN_WORDS, _check_token, 8),
        Parser("return paths", ("bytes",), _return_paths(), _TOKEN_WORDS, _read_return_path, 8),
        Parser("addresses to fetch", ("bytes",), [(url,) for url in seeds.urls()], _URL_WORDS, _may_fetch, 4),
        Parser("forms of recipients", ("bytes", "form"), _forms(), _FORM_WORDS, _wish, 4, forms.MOST_BYTES),
    ]


def _judge(case: Input) -> None:
    text = case[0].decode("utf-8", "surrogateescape")
    reply = replies.parse(text)
    promise(reply.code == 0 or 200 <= reply.code < 600, f"the code {reply.code}")
    promise(len(reply.text) <= _LONGEST_TEXT, f"{len(reply.text)} characters")
    for provider in ("", PROVIDERS[len(text) % len(PROVIDERS)]):
        verdict = classification.classify(reply, provider)
        promise(verdict.failure_class in get_args(FailureClass), f"the class {verdict.failure_class!r}")
        promise(verdict.suppress == (verdict.failure_class == "hard"), "suppressed and not hard, or the other way")
        promise(classification.classify(reply, provider, about_recipient=False).suppress is False, "hard before RCPT")
        promise(0 <= (verdict.retry_after_seconds or 0) < _LONGEST_HINT_SECONDS, "a hint of a century")
    replies.retry_after_seconds(text)
    msgspec.json.encode(inspection.inspect(inspection.Item(text)))


def _streams() -> list[Input]:
    """What a server says in a session."""
    lines = [b"\r\n".join(text.splitlines()) + b"\r\n" for text in seeds.replies() if text[:1] in b"2345"]
    return [
        (b"220 mx.example.org ESMTP\r\n" + b"".join(lines[start : start + 6]),) for start in range(0, len(lines), 5)
    ]


def _cut_into_replies(case: Input) -> None:
    (data,) = case
    whole = ReplyReader()
    together = whole.feed(data)
    piecemeal = ReplyReader()
    found: list[Reply] = []
    step = 1 + len(data) % 7 if len(data) < 2_000 else 997
    for start in range(0, len(data), step):
        if not piecemeal.malformed:
            found += piecemeal.feed(data[start : start + step])
    promise(found[: len(together)] == together or bool(whole.malformed), "another reply where it comes in pieces")
    for reply in together:
        promise(200 <= reply.code < 600, f"the code {reply.code}")


def _tokens() -> list[Input]:
    return [
        (Signer(secret, purpose).token(*mail).encode(),)
        for secret in _SECRETS
        for purpose in _PURPOSES
        for mail in _MAILS
    ]


def _check_token(case: Input) -> None:
    text = case[0].decode("utf-8", "surrogateescape")
    for purpose in _PURPOSES:
        try:
            ticket = _CHECKERS[purpose].check(text)
        except BadToken:
            continue
        promise(text in _GOOD[purpose], "a forged token is believed")
        promise(ticket == _GOOD[purpose][text], "a token stands for another mail")


_CHECKERS: Final = {purpose: Checker(_SECRETS, purpose) for purpose in _PURPOSES}
_GOOD: Final = {
    purpose: {Signer(secret, purpose).token(*mail): Ticket(*mail) for secret in _SECRETS for mail in _MAILS}
    for purpose in _PURPOSES
}


def _return_paths() -> list[Input]:
    return [(path.encode(),) for path in _OURS]


def _read_return_path(case: Input) -> None:
    text = case[0].decode("utf-8", "surrogateescape")
    found = _VERP.read(text)
    if found is not None:
        tag = text.rpartition("@")[0].rpartition("+")[2].lower()
        promise(_TAGS.get(tag) == found, "a forged return path is believed")


_VERP: Final = VerpChecker(_SECRETS)
_OURS: Final = [
    Verp(secret).address(f"{mailbox}@news.example.com", *mail)
    for secret in _SECRETS
    for mailbox in ("bounces", "b", "a+b")
    for mail in _MAILS
]
_TAGS: Final[dict[str, Bounced | None]] = {
    path.rpartition("@")[0].rpartition("+")[2]: _VERP.read(path) for path in _OURS
}

_AMAZONS: Final = re.compile(
    r"https://sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?(?::443|:)?(?:[/?][!-~]*)?", re.IGNORECASE
)
"""The plainest spelling there is, which no parser of URLs can take for another host."""


def _may_fetch(case: Input) -> None:
    url = case[0].decode("utf-8", "surrogateescape")
    if sns.may_fetch_certificate(url) or sns.may_confirm(url):
        promise(_AMAZONS.fullmatch(url) is not None, f"{url!r} may be fetched")


_URLENCODED: Final = b"application/x-www-form-urlencoded"
_MULTIPART: Final = b'multipart/form-data; boundary="mark"'


def _forms() -> list[Input]:
    one_click = b"List-Unsubscribe=One-Click"
    parts = b'--mark\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--mark--\r\n'
    return [(_URLENCODED, one_click), (_URLENCODED, b"choice=all"), (_MULTIPART, parts), (_MULTIPART, parts * 3)]


def _wish(case: Input) -> None:
    kind, body = case
    wish = forms.wish(kind.decode("latin-1"), body)
    promise(wish is None or wish in {"one-click", *get_args(Choice)}, f"the wish {wish!r}")


_REPLY_WORDS: Final = tuple(
    word.encode()
    for word in (
        *("550 ", "550-", "550", "421 4.7.0 ", "452 4.2.2", "smtp; "),
        *("x-postfix; ", "5.1.1 ", "4.", "999 ", "250 OK", "\r\n"),
        *("user unknown", "mailbox full", "try again in ", "in 99999999 hours"),
        *("00:00:00", "99:99:99", "later", "greylist"),
        *("blocked", "spam", "rate", "rbl", "spf", "dmarc"),
        *("<ann@example.org>", "@", "[192.0.2.1]", "#5.1.1", "(S3150)", "gsmtp"),
        *("RCPT", "DATA", "quota", "does not exist", "relay", "auth", "tls"),
        *("5.7.1", "http://", "٥٥٠", "５５０", "\u2028", "é", "\x00"),
    )
)
_TOKEN_WORDS: Final = (
    *(b".", b"..", b"+", b"@", b"=", b"%2e", b"-"),
    *(b"_", b"A", b"a" * 16, b"autumn", b"\xff", b"\xc3\xa9", b"/", b"\0"),
)
_URL_WORDS: Final = tuple(
    word.encode()
    for word in (
        *("https://", "http://", "//", "@", ":443", ":80", ":", "\\", "/"),
        *("?", "#", ".", "..", "%2e", "%00", "\t", "\n", "\r", " "),
        *(".pem", "x.pem", ".cn", ".evil.example", "evil.example", "127.0.0.1"),
        *("[::1]", "[", "]", "sns.", "amazonaws.com", "user:pass@"),
        *("Action=ConfirmSubscription", "Action=Unsubscribe", "&", ";", "\u3002", "\uff0e"),
        *("\u2024", "\u00ad", "ß", "ｓ", "\x00", "[::ffff:127.0.0.1]"),
    )
)
_FORM_WORDS: Final = (
    *(b"List-Unsubscribe", b"One-Click", b"choice", b"all", b"list", b"="),
    *(b"&", b"%", b"%ff", b"+", b"--mark", b"--mark--", b"\r\n\r\n"),
    *(b"boundary=", b"boundary=mark", b"; charset=utf-7"),
    *(b"; name=", b"Content-Disposition: form-data; ", b"name*=utf-8''x"),
    *(b"Content-Type: multipart/mixed; boundary=mark\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n"),
    *(b"filename=x", b'"'),
)
