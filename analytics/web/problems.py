"""Errors as problem documents (RFC 9457): what is wrong, and what to do about it."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from analytics.errors import AnalyticsError, ClickHouseUnavailable
from analytics.web.models import Problem
from events.breaker import NothingStopped
from events.campaigns import CampaignNotFound, WrongStatus
from events.errors import BusError, RetryLater

MEDIA_TYPE: Final = "application/problem+json"

_log = logging.getLogger(__name__)


class _Kind(NamedTuple):
    status: HTTPStatus
    slug: str
    title: str


_KINDS: Final[dict[type[Exception], _Kind]] = {
    CampaignNotFound: _Kind(HTTPStatus.NOT_FOUND, "campaign-not-found", "No such campaign"),
    WrongStatus: _Kind(HTTPStatus.CONFLICT, "wrong-status", "The campaign's status does not allow this"),
    NothingStopped: _Kind(HTTPStatus.CONFLICT, "nothing-stopped", "The circuit breaker stops nothing of this"),
    RetryLater: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "bus-unavailable", "NATS does not answer"),
    BusError: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "bus-not-ready", "NATS is not set up for this release"),
    ClickHouseUnavailable: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "analytics-unavailable", "ClickHouse does not answer"),
    AnalyticsError: _Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "analytics-failed", "ClickHouse refused the question"),
}
"""The first match along an exception's bases decides."""

RETRY_AFTER_SECONDS: Final = 5


def response(status: HTTPStatus, slug: str, title: str, detail: str, path: str) -> Response:
    problem = Problem(type=f"urn:jetpost:problem:{slug}", title=title, status=status, detail=detail, instance=path)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return Response(msgspec.json.encode(problem), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Every error of the app answers with a problem document."""
    for kind in (BusError, AnalyticsError):
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


async def _known(request: Request, error: Exception) -> Response:
    kind = next(_KINDS[base] for base in type(error).__mro__ if base in _KINDS)
    return response(*kind, detail=str(error) or (type(error).__doc__ or ""), path=request.url.path)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    detail = "" if error.detail == status.phrase else error.detail
    answer = response(status, slug, status.phrase, detail, request.url.path)
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return response(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-request",
        "The request cannot be understood",
        "; ".join(found),
        request.url.path,
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "unexpected",
        "Something went wrong here",
        "The web app's log has the details.",
        request.url.path,
    )
