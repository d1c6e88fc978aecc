"""The door: what anybody on the internet may ask of Jetpost. An ASGI app of its own. Reads first.

GET  /u/<token>      a page with buttons: leave the list, leave everything, come back, do not count me
POST /u/<token>      `List-Unsubscribe=One-Click` (RFC 8058), or a button of that page
GET  /c/<token>/<n>  to link n of the mail; counted
GET  /o/<token>      a picture of one dot; counted

GET and HEAD unsubscribe nobody, whoever makes them: security products follow every link in a mail. A wish is answered when it
is stored, with 503 while NATS is away. A link leads where it should all the same, and its click is published later (`recorder`).
What leads where is the campaign's table of links, so nobody is ever led to an address that was not in the mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from starlette.types import Receive, Scope, Send

from analytics.web.public import forms, pages, visitors
from analytics.web.public.known import KnownCampaigns, Sender
from analytics.web.public.pages import Choice
from analytics.web.public.recorder import Recorder
from analytics.web.public.refusals import Refusals
from analytics.web.settings import WebSettings
from events import streams
from events.bus import Bus
from events.errors import BusError, RetryLater
from events.facts import EmailClicked, EmailOpened, EmailResubscribed, EmailUnsubscribed, Fact, TrackingChanged
from events.metrics import HTTP_REQUEST_SECONDS
from events.tokens import BadToken, Checker, Ticket

PIXEL: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A GIF of one transparent dot, 43 bytes."""

SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{pages.STYLE_HASH}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS: Final = (
    (b"content-security-policy", SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),  # the address of the page is somebody's token
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"cache-control", b"no-store"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_GIF: Final = (b"content-type", b"image/gif")
_RETRY: Final = (b"retry-after", b"60")
_READING: Final = frozenset({"GET", "HEAD"})
_ROBOTS: Final = b"User-agent: *\nDisallow: /\n"
_KNOWN_WITHIN_SECONDS: Final = 2.0

_path = re.compile(r"/(?:u/(?P<leave>[^/]+)|c/(?P<click>[^/]+)/(?P<link>[1-9]\d{0,4})|o/(?P<open>[^/]+))").fullmatch

_log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    status: HTTPStatus
    headers: tuple[Header, ...]
    body: bytes = b""


_UNKNOWN: Final = Answer(HTTPStatus.NOT_FOUND, (_HTML,), pages.unknown())
_UNAVAILABLE: Final = Answer(HTTPStatus.SERVICE_UNAVAILABLE, (_HTML, _RETRY), pages.unavailable())
_FOREIGN: Final = Answer(HTTPStatus.MISDIRECTED_REQUEST, (_TEXT,), b"This is not a name of this server.\n")
_READ_ONLY: Final = Answer(HTTPStatus.METHOD_NOT_ALLOWED, (_TEXT, (b"allow", b"GET, HEAD")))
_SEEN: Final = Answer(HTTPStatus.OK, (_GIF,), PIXEL)


class Request(NamedTuple):
    method: str
    headers: dict[str, str]
    """Names in lower case; of several the last."""
    receive: Receive

    async def body(self) -> bytes:
        """Raises `ValueError` where it is longer than any form of ours."""
        read: bytes = b""
        while True:
            message = await self.receive()
            read += message.get("body", b"")
            if len(read) > forms.MOST_BYTES or message["type"] == "http.disconnect":
                raise ValueError("the body is too long, or was cut")
            if not message.get("more_body"):
                return read


class Door:
    """The app. Serve it within `running`."""

    def __init__(self, bus: Bus, settings: WebSettings, *, clock: Callable[[], float]) -> None:
        """Raises `ValueError` where no secret is set."""
        secrets = [settings.link_secret, *settings.old_link_secrets]
        self._leaving, self._tracking = Checker(secrets, "unsubscribe"), Checker(secrets, "track")
        self._hosts = settings.public_hosts
        self._always = (*_ALWAYS, _STRICT_TRANSPORT) if settings.links_url.startswith("https:") else _ALWAYS
        self._bus = bus
        self._clock = clock
        self._known = KnownCampaigns(bus)
        self._recorder = Recorder(bus)
        self._refusals = Refusals(bus, clock)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At its end what visitors did is published, as far as NATS takes it."""
        tasks = [asyncio.create_task(self._recorder.run()), asyncio.create_task(self._refusals.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], headers, receive)
        route, answer = await self._answer(scope["path"], request)
        await _send(answer, self._always, send, without_body=request.method == "HEAD")
        HTTP_REQUEST_SECONDS.labels(route, answer.status.value).observe(time.perf_counter() - started)

    async def _answer(self, path: str, request: Request) -> tuple[str, Answer]:
        """With the name of the route, for metrics."""
        if path in _PLAIN:
            return path, await _PLAIN[path](self)
        if _host_of(request.headers.get("host", "")) not in self._hosts:
            return "none", _FOREIGN
        try:
            found = _path(path)
            return ("none", _UNKNOWN) if found is None else (path[:3], await self._of_mail(found, request))
        except BadToken:
            return "none", _UNKNOWN
        except BusError as error:
            if not isinstance(error, RetryLater):
                _log.exception("a request for %s failed", path[:3])
            return path[:3], _UNAVAILABLE

    async def _of_mail(self, found: re.Match[str], request: Request) -> Answer:
        if token := found["leave"]:
            return await self._leave(self._leaving.check(token), request)
        if request.method not in _READING:
            return _READ_ONLY
        if token := found["click"]:
            return await self._click(self._tracking.check(token), int(found["link"]), request)
        return await self._open(self._tracking.check(found["open"]), request)

    async def _leave(self, ticket: Ticket, request: Request) -> Answer:
        if request.method in _READING:
            return Answer(HTTPStatus.OK, (_HTML,), pages.asking(await self._sender_if_known(ticket.campaign)))
        if request.method != "POST":
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, (_TEXT, (b"allow", b"GET, HEAD, POST")))
        try:
            wish = forms.wish(request.headers.get("content-type", ""), await request.body())
        except ValueError:
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, (_TEXT,))
        if wish is None:
            return Answer(HTTPStatus.BAD_REQUEST, (_HTML,), pages.not_understood())
        sender = await self._known.sender(ticket.campaign)
        choice: Choice = ("list" if sender.list else "all") if wish == "one-click" else wish
        await self._recorder.store(*_wished(choice, ticket, sender, self._clock(), "page" if wish == choice else wish))
        if choice in ("track", "untrack"):
            self._refusals.say(ticket, refused=choice == "untrack")
        return Answer(HTTPStatus.OK, (_HTML,), pages.done(choice, sender))

    async def _sender_if_known(self, campaign: str) -> Sender:
        """A page is shown without names sooner than not at all."""
        try:
            async with asyncio.timeout(_KNOWN_WITHIN_SECONDS):
                return await self._known.sender(campaign)
        except (BusError, TimeoutError):
            return Sender()

    async def _click(self, ticket: Ticket, number: int, request: Request) -> Answer:
        links = await self._known.links(ticket.campaign)
        if number > len(links):
            return _UNKNOWN
        url = links[number - 1]
        if not self._refusals.holds(ticket):
            machine = visitors.of_click(request.method, request.headers).machine
            await self._recorder.note(EmailClicked(*ticket_fields(ticket, self._clock()), number, url, machine))
        return Answer(HTTPStatus.FOUND, ((b"location", url.encode("ascii")),))

    async def _open(self, ticket: Ticket, request: Request) -> Answer:
        if not self._refusals.holds(ticket):
            machine, client = visitors.of_open(request.method, request.headers)
            await self._recorder.note(EmailOpened(*ticket_fields(ticket, self._clock()), machine, client))
        return _SEEN

    async def alive(self) -> Answer:
        return Answer(HTTPStatus.OK, (_TEXT,), b"alive\n")

    async def ready(self) -> Answer:
        try:
            async with asyncio.timeout(_KNOWN_WITHIN_SECONDS):
                await self._bus.stream_state(streams.EVENTS.name)
        except (BusError, TimeoutError):
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, (_TEXT,), b"NATS does not answer\n")
        return Answer(HTTPStatus.OK, (_TEXT,), b"ready\n")

    async def robots(self) -> Answer:
        return Answer(HTTPStatus.OK, (_TEXT,), _ROBOTS)


_PLAIN: Final = {"/healthz": Door.alive, "/readyz": Door.ready, "/robots.txt": Door.robots}
"""Asked under whatever name: they tell nothing about anybody."""

PATHS: Final = ("/u/", "/c/", "/o/")
"""What begins with these is the door's, where it shares a port with the dashboard."""


def _host_of(header: str) -> str:
    """Without port, in lower case (RFC 9110 §7.2)."""
    name = header.lower()
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


def ticket_fields(ticket: Ticket, now: float) -> tuple[str, float, str, str]:
    """What all reactions begin with; nobody's address is known here."""
    return ticket.campaign, now, ticket.mail_id, ""


def _wished(choice: Choice, ticket: Ticket, sender: Sender, now: float, by: str) -> list[Fact]:
    fields = ticket_fields(ticket, now)
    match choice:
        case "list":
            return [EmailUnsubscribed(*fields, "list" if sender.list else "all", sender.list, by)]
        case "all":
            return [EmailUnsubscribed(*fields, "all", "", by)]
        case "again":
            lists: list[Fact] = [EmailResubscribed(*fields, "list", sender.list, by)] if sender.list else []
            return [*lists, EmailResubscribed(*fields, "all", "", by)]
        case "untrack" | "track":
            return [TrackingChanged(*fields, choice == "track")]


async def _send(answer: Answer, always: tuple[Header, ...], send: Send, *, without_body: bool) -> None:
    length = (b"content-length", str(len(answer.body)).encode())
    start: dict[str, Any] = {"type": "http.response.start", "status": answer.status.value}
    await send({**start, "headers": [*answer.headers, length, *always]})
    await send({"type": "http.response.body", "body": b"" if without_body else answer.body})
