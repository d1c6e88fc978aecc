"""Callbacks of ESPs: whether who sent them is believed, and what they come to, up to the fact that is stored."""

from __future__ import annotations

import base64
from typing import Final, get_args

import msgspec

from analytics import rows
from analytics.callbacks.base import Event, EventName, Request, Told
from analytics.callbacks.registry import ESPS
from analytics.hearing import confirming, meaning
from analytics.hearing.meaning import About
from benchmarks.fuzz import proving, seeds
from benchmarks.fuzz.case import Broken, Input, Parser, promise
from events import callbacks, facts, suppression
from events.callbacks import Callback
from events.esps import Reference, read_reference
from jetpost.inspection import webhook

_MOST_EVENTS: Final = 5_000
_MOST_TEXT: Final = 3_000
_EVENTS: Final = frozenset(get_args(EventName))
_REFERENCE: Final = Reference("autumn", "5wdgaoaceloexqtr")
_LINKS: Final = ("https://shop.example/?from=mail",)
_SHARE: Final = 5


def parsers() -> list[Parser]:
    return [_parser(esp) for esp in sorted(ESPS)]


def _parser(esp: str) -> Parser:
    proven = [one for body in seeds.callbacks(esp) for one in proving.prove(esp, body)]
    signed = [proving.what_was_signed(esp, Request(headers, body, None)) for headers, body in proven]
    given = [*proven, *seeds.more_callbacks(esp)]
    more = (proving.certificate(),) if esp == "ses" else ()
    return Parser(
        name=f"callbacks of {esp}",
        kinds=("headers", *(("bytes",) if more else ()), "json"),
        seeds=[(_lines(headers), *more, body) for headers, body in given],
        words=_WORDS,
        run=lambda case: _read(esp, signed, case),
        share=_SHARE,
        most_bytes=callbacks.MAX_BODY_BYTES,
    )


def _lines(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\n" for name, value in headers.items()).encode("latin-1", "replace")


def _headers(lines: bytes) -> dict[str, str]:
    """As the web app gets them: names in lower case, of several with one name the last."""
    pairs = (line.partition(":") for line in lines.decode("latin-1").split("\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _read(esp: str, signed: list[object], case: Input) -> None:
    lines, *pem, body = case
    request = Request(_headers(lines), body, proving.NOW)
    verdict = ESPS[esp].verify(request, proving.secrets(pem[0] if pem else None))
    promise(verdict in {"valid", "invalid", "stale"}, f"the verdict {verdict!r}")
    if verdict != "invalid":
        promise(proving.what_was_signed(esp, request) in signed, "what nobody signed is believed")
    told = ESPS[esp].tell(request)
    hold(esp, told)
    _confirm(esp, request)
    _keep(esp, request)
    item = webhook.Item(esp, dict(request.headers), body_b64=base64.b64encode(body).decode(), secrets=webhook.SKIP)
    msgspec.json.encode(webhook.inspect(item))


def hold(esp: str, told: Told) -> None:
    """What is told is in our words, and can be stored."""
    promise(not told.faults, f"it stumbles: {told.faults[:1]}")
    promise(len(told.events) <= _MOST_EVENTS, f"{len(told.events)} events")
    for event in told.events:
        _hold(esp, event)


def _hold(esp: str, event: Event) -> None:
    promise(event.event in _EVENTS, f"the event {event.event!r}")
    promise((event.bounce is None) == (event.event != "bounced"), "a bounce that is none")
    promise(event.at is None or 0 < event.at < 4e10, f"the time {event.at!r}")
    promise(event.dedupe.startswith(f"{esp}/"), "a key of another ESP")
    promise(0 <= event.code < 600, f"the code {event.code}")
    longest = max(map(len, (event.recipient, event.message_id, event.reference, event.url, event.text, event.group)))
    promise(longest <= _MOST_TEXT, f"a text of {longest} characters")
    for about in (read_reference(event.reference), read_reference(event.message_id), _REFERENCE):
        if about is not None:
            _state(esp, event, About(about, "news", _LINKS))
    entry = meaning.entry_of(event, esp, "main", proving.NOW, ("listed", "unknown"))
    if entry is not None:
        suppression.message_of(entry, suppression.PLAIN)


def _state(esp: str, event: Event, about: About) -> None:
    fact = meaning.fact_of(event, about, esp, proving.NOW, ("listed",))
    if fact is None:
        return
    try:
        stored = facts.encode(fact)
    except UnicodeEncodeError:
        return  # the consumer counts it as unreadable
    promise(facts.decode(stored) == fact, "it is stored as something else")
    promise(fact.recipient == "" or about.reference.is_to(fact.recipient), "somebody else's recipient")
    promise(len(facts.id_of(fact)) < 200 and facts.id_of(fact).isascii(), "an id that NATS does not take")
    rows.reaction_row(1, fact)


def _confirm(esp: str, request: Request) -> None:
    url = confirming.address_in(esp, request.headers, request.body)
    if url and not url.lower().startswith("https://sns."):
        raise Broken(f"it would confirm at {url!r}")


def _keep(esp: str, request: Request) -> None:
    """As the web app stores it."""
    headers = {name: request.headers[name] for name in callbacks.KEPT_HEADERS if name in request.headers}
    callback = callbacks.with_body(Callback(esp, "main", proving.NOW, headers, b""), request.body)
    callbacks.id_of(callback, request.body)
    again = callbacks.decode(callbacks.encode(callback))
    promise(callbacks.body_of(again, again.body) == request.body, "it is stored as something else")


_WORDS: Final = tuple(
    word.encode("utf-8", "surrogatepass")
    for word in (
        *("event", "events", "type", "Type", "RecordType"),
        *("email", "recipient", "timestamp", "time", "reason", "error"),
        *("bounce", "Bounce", "failed", "delivered"),
        *("opened", "clicked", "unsubscribed", "complained", "hard_bounce"),
        *("msys", "event-data", "signature", "token", "headers"),
        *("message-id", "data", "mail", "Message", "is_prefetched"),
        *("bouncedRecipients", "emailAddress", "tags", "jetpost"),
        *("Metadata", "code", "status", "user-variables", "to"),
        *("Subject", "SigningCertURL", "SigningCertUrl", "SubscribeURL", "TopicArn", "SignatureVersion", "1", "2"),
        *("authorization: Basic ", "svix-id: ", "webhook-signature: v1,", "x-signature: sha256=", "x-timestamp: 1\n"),
        *("content-type: multipart/form-data; boundary=mark\n", "content-type: application/x-www-form-urlencoded\n"),
        *("x-amz-sns-message-type: Notification\n", "--mark"),
        *("--mark--", "--mark\r\nContent-Type: multipart/mixed; boundary=mark\r\n\r\n"),
        *('Content-Disposition: form-data; name="token"\r\n\r\n', "&token=x", "%00", "%ff%fe"),
        *("+", "=", ";", "&" * 40),
        *('"', "\\", "\\u0000", "\\ud800", "\\ud83d\\udca9", "{", "}"),
        *("[", "]", ":", ",", "null", "true", "1e999", "-0"),
        *("\ufeff", "\u2028", "0" * 30, "9" * 30, "[[[[[[[[[[", '{"a":' * 20, "5wdgaoaceloexqtr.autumn", "<x.y@z>"),
        *("550 5.1.1 user unknown", "4.2.2", "ann@example.org", "https://shop.example/", "2026-11-24T10:00:00Z"),
        *("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", "MIIB", "BgkqhkiG9w0BAQ"),
    )
)
