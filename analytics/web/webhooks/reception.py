"""The reception: `POST /webhooks/<esp>/<endpoint>`, an ASGI app of its own. Reads first.

    raw bytes, up to a cap ─▶ verified, or refused ─▶ stored ─▶ 200

200 says that it is stored, and no more; what it means is found out later (`analytics.hearing`). 401: not who it claims to be, or
there is no such endpoint: nobody finds out which, neither by the answer nor by its time. 404: there is no such ESP. 400: it is
who it claims to be, and nothing that could be read. 413, 408: too large, too slow. 503: NATS is away or nearly full; ESPs
repeat what is answered so.

There is no host name to be checked and no token of the API: who calls is told by what they sign, or know.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from prometheus_client import Counter, Histogram
from starlette.types import Receive, Scope, Send

from analytics.callbacks.base import Request
from analytics.callbacks.registry import ESPS
from analytics.web.webhooks.certificates import CertificateMissing, Certificates
from analytics.web.webhooks.endpoints import Endpoint, decoy, endpoints
from analytics.web.webhooks.fetching import Fetch, https_get
from analytics.web.webhooks.keeper import Keeper
from analytics.web.webhooks.settings import Webhook
from events import callbacks
from events.bus import Bus
from events.callbacks import KEPT_HEADERS, LARGEST_MESSAGE, MAX_BODY_BYTES, Callback
from events.errors import BusError
from events.metrics import CALLBACKS, HTTP_REQUEST_SECONDS

PATH: Final = "/webhooks/"
READ_WITHIN_SECONDS: Final = 10.0
MOST_READ_BYTES: Final = 64 * 1024 * 1024
"""Of all bodies that are being read at a time."""
LOOKED_AT_BYTES: Final = 64 * 1024
"""A body up to this is understood once before it is taken, so that who sends junk is told so. Of larger ones it shows later."""
_MOST_HEADER: Final = 1_000

_path = re.compile(r"/webhooks/([a-z0-9-]{1,32})/([a-z0-9-]{1,32})", re.ASCII).fullmatch

_ALWAYS: Final = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    status: HTTPStatus
    said: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


STORED: Final = Answer(HTTPStatus.OK, b"stored\n")
JUNK: Final = Answer(HTTPStatus.BAD_REQUEST, b"nothing in this can be read\n")
STRANGER: Final = Answer(
    HTTPStatus.UNAUTHORIZED,
    b"this does not prove who sent it, or there is no such endpoint\n",
    ((b"www-authenticate", b'Basic realm="jetpost"'),),  # some ESPs send what they know only when they are asked
)
ELSEWHERE: Final = Answer(HTTPStatus.FORBIDDEN, b"this endpoint is not called from there\n")
UNKNOWN: Final = Answer(HTTPStatus.NOT_FOUND, b"there is no such ESP\n")
NOT_POSTED: Final = Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"POST it\n", ((b"allow", b"POST"),))
SLOW: Final = Answer(HTTPStatus.REQUEST_TIMEOUT, b"it took too long\n", ((b"connection", b"close"),))
LARGE: Final = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"it is too large\n", ((b"connection", b"close"),))
LATER: Final = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"it is not stored; send it again\n", ((b"retry-after", b"30"),))


class _Refused(Exception):
    """The request goes no further."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Reception:
    """The app. Serve it within `running`."""

    def __init__(
        self, bus: Bus, webhooks: Mapping[str, Webhook], *, clock: Callable[[], float], fetch: Fetch = https_get
    ) -> None:
        """Raises `WebhookUnusable`."""
        self._endpoints = endpoints(webhooks)
        self._decoys = {name: decoy(esp) for name, esp in ESPS.items()}
        self._keeper = Keeper(bus, clock)
        self._certificates = Certificates(fetch, clock)
        self._clock = clock
        self._reading_bytes = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At its end nothing is lost: what was not stored was not answered so."""
        task = asyncio.create_task(self._keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        found = _path(scope["path"])
        esp, name = found.groups() if found else ("", "")
        endpoint = self._endpoints.get((esp, name)) or self._decoys.get(esp)
        try:
            answer = await self._answer(endpoint, scope, receive)
        except _Refused as refused:
            answer = refused.answer
        await _send(answer, send)
        counted, timed = _metrics(endpoint.name if endpoint else "", answer.status.value)
        counted.inc()
        timed.observe(time.perf_counter() - started)

    async def _answer(self, endpoint: Endpoint | None, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return NOT_POSTED
        if endpoint is None:
            return UNKNOWN
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        _require_welcome(endpoint, _caller(scope), headers)
        body = await self._body(headers, receive)
        try:
            await self._take(Request(headers, body, self._clock()), endpoint)
        except BusError:
            return LATER
        except _Refused:
            raise
        except Exception:  # whatever a stranger finds: it is refused, and the ESP sends again what it meant
            _log.exception("a callback for %s failed", endpoint.name or "no endpoint")
            return LATER
        return STORED

    async def _take(self, request: Request, endpoint: Endpoint) -> None:
        """Raises `BusError`, and `_Refused`."""
        await self._verify(request, endpoint)
        if len(request.body) <= LOOKED_AT_BYTES and _is_junk(request, endpoint):
            raise _Refused(JUNK)
        await self._store(request, endpoint)

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        announced = headers.get("content-length", "")
        if announced.isdecimal() and (len(announced) > 10 or int(announced) > MAX_BODY_BYTES):
            raise _Refused(LARGE)
        message = await _received(receive)
        first: bytes = message.get("body", b"")
        if not message.get("more_body") and message["type"] == "http.request":
            if len(first) > MAX_BODY_BYTES:
                raise _Refused(LARGE)
            return first
        if message["type"] == "http.disconnect":
            raise _Refused(SLOW)
        return await self._rest(first, receive)

    async def _rest(self, first: bytes, receive: Receive) -> bytes:
        parts, size = [first], len(first)
        self._reading_bytes += size
        try:
            async with asyncio.timeout(READ_WITHIN_SECONDS):
                while True:
                    message = await receive()
                    part: bytes = message.get("body", b"")
                    size += len(part)
                    self._reading_bytes += len(part)
                    if size > MAX_BODY_BYTES:
                        raise _Refused(LARGE)
                    if self._reading_bytes > MOST_READ_BYTES:
                        raise _Refused(LATER)
                    if message["type"] == "http.disconnect":
                        raise _Refused(SLOW)
                    parts.append(part)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise _Refused(SLOW) from None
        finally:
            self._reading_bytes -= size

    async def _verify(self, request: Request, endpoint: Endpoint) -> None:
        secrets = endpoint.secrets
        if secrets.topic_arns:
            try:
                secrets = await self._certificates.for_request(request, secrets)
            except CertificateMissing:
                raise _Refused(LATER) from None
        if endpoint.esp.verify(request, secrets) != "valid" or not endpoint.name:
            raise _Refused(STRANGER)

    async def _store(self, request: Request, endpoint: Endpoint) -> None:
        """Raises `BusError`."""
        headers = {name: request.headers[name][:_MOST_HEADER] for name in KEPT_HEADERS if name in request.headers}
        now = self._clock()
        callback = Callback(endpoint.esp.name, endpoint.name, now, headers, b"", suppress=endpoint.suppress)
        known_as = callbacks.id_of(callback, request.body)
        callback = callbacks.with_body(callback, request.body)
        if len(callback.body) > LARGEST_MESSAGE:
            callback, parts = callbacks.in_parts(callback, known_as)
            await self._keeper.store_parts(parts)
        await self._keeper.store(callbacks.message_of(callback, known_as))


@cache
def _metrics(endpoint: str, status: int) -> tuple[Counter, Histogram]:
    """Looked up once for each of the few that there are."""
    return CALLBACKS.labels(endpoint, status), HTTP_REQUEST_SECONDS.labels("/webhooks", status)


async def _received(receive: Receive) -> Any:  # noqa: ANN401 - as ASGI has it
    """The first of the body, which is nearly always there already."""
    try:
        async with asyncio.timeout(READ_WITHIN_SECONDS):
            return await receive()
    except TimeoutError:
        raise _Refused(SLOW) from None


def _require_welcome(endpoint: Endpoint, caller: str, headers: Mapping[str, str]) -> None:
    """Raises `_Refused` for whom nothing need be read of what they send."""
    if not endpoint.may_call(caller):
        raise _Refused(ELSEWHERE)
    if endpoint.known_by_headers and endpoint.esp.verify(Request(headers, b"", None), endpoint.secrets) != "valid":
        raise _Refused(STRANGER)


def _is_junk(request: Request, endpoint: Endpoint) -> bool:
    try:
        told = endpoint.esp.tell(request)
    except Exception:
        _log.exception("a callback for %s is taken unread", endpoint.name)
        return False  # a fault of ours: it is parked, and can be read by a later release
    return bool(told.broken) and not (told.events or told.unknown or told.faults)


def _caller(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _send(answer: Answer, send: Send) -> None:
    length = (b"content-length", b"%d" % len(answer.said))
    start: dict[str, Any] = {"type": "http.response.start", "status": answer.status.value}
    await send({**start, "headers": [*_ALWAYS, *answer.headers, length]})
    await send({"type": "http.response.body", "body": answer.said})
