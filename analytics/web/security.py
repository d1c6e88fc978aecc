"""Who may ask, and from where: host names, tokens, forged requests, and the headers that keep browsers strict."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analytics.web import problems
from analytics.web.settings import WebSettings

SESSION_COOKIE: Final = "jetpost_session"
SESSION_SECONDS: Final = 30 * 86_400

COMMAND_HEADER: Final = "X-Jetpost-Command"
"""Commands need it. A page of another origin cannot set it without a preflight, which is never granted."""

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by orchestrators under whatever name they know; they tell nothing about recipients."""


class Guard:
    """Refuses requests for foreign host names and puts the security headers on every answer.

    A page on the internet can point a name of its own at 127.0.0.1 (DNS rebinding) and would then count as same-origin;
    only the Host header gives it away. IP addresses cannot be rebound and are let through.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._hosts = own_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if scope["path"] in PROBES or is_own_host(host, self._hosts):
            await self._app(scope, receive, send_with_headers)
        else:
            await _refuse_host(host, scope["path"])(scope, receive, send_with_headers)


def _refuse_host(host: str, path: str) -> ASGIApp:
    return problems.response(
        HTTPStatus.MISDIRECTED_REQUEST,
        "foreign-host",
        "This is not a name of this server",
        f"The request names the host {host!r}. If people reach the dashboard by that name, set `public_url` to it.",
        path,
    )


def own_hosts(settings: WebSettings) -> frozenset[str]:
    named = (settings.host, urlsplit(settings.public_url).hostname or "", *settings.allowed_hosts)
    return frozenset(name.lower() for name in ("localhost", *named) if name)


def is_own_host(header: str, hosts: frozenset[str]) -> bool:
    """Whether a Host header (RFC 9110 §7.2) names us."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    return name in hosts or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def session_value(token: str) -> str:
    """What the session cookie holds: proves knowledge of the token without carrying it; a new token ends all sessions."""
    return hmac.new(token.encode(), b"jetpost dashboard session", hashlib.sha256).hexdigest()


def is_token(given: str, token: str) -> bool:
    return bool(token) and secrets.compare_digest(given.encode(), token.encode())


def has_access(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(given.strip(), token):
        return True
    cookie = request.cookies.get(SESSION_COOKIE, "")
    return secrets.compare_digest(cookie.encode(), session_value(token).encode())


def access(settings: WebSettings) -> Callable[[Request], None]:
    """A dependency: raises 401 where a token is set and the request shows none."""

    def require_access(request: Request) -> None:
        if settings.api_token and not has_access(request, settings.api_token):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "Send the token as `Authorization: Bearer …`, or sign in on the dashboard.",
                {"WWW-Authenticate": 'Bearer realm="jetpost"'},
            )

    return require_access


def require_command(request: Request) -> None:
    """A dependency for what changes something: raises 403 for requests that a foreign page could have made (CSRF)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise HTTPException(HTTPStatus.FORBIDDEN, "Commands are only taken from the dashboard's own pages.")
    if COMMAND_HEADER not in request.headers and "authorization" not in request.headers:
        raise HTTPException(
            HTTPStatus.FORBIDDEN,
            f"Send the header `{COMMAND_HEADER}: 1`: it shows that no foreign page made the request.",
        )
