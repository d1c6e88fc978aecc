"""The OpenAPI document, complete although the answers are msgspec structs: their schemas come from the structs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from analytics.reports import Counted
from analytics.web import models, problems

STRUCTS: Final[Sequence[type[msgspec.Struct]]] = (
    models.Overview,
    models.CampaignDetail,
    models.CampaignReport,
    models.RateSeries,
    models.LatencySeries,
    models.Providers,
    models.Failures,
    models.Doubts,
    models.Breakers,
    models.Lanes,
    models.Scaling,
    models.EventPage,
    models.Standings,
    Counted,
    models.Live,
    models.Changed,
    models.Problem,
)
_REF: Final = "#/components/schemas/{name}"

DESCRIPTION: Final = """\
Campaigns, their ledgers and their events, as JSON.

Times are Unix seconds, durations seconds, rates per second. Errors are problem documents (RFC 9457). Commands need the
header `X-Jetpost-Command: 1` or a bearer token. Where a token is set, everything under `/api` asks for it.
"""


def answers(struct: type[msgspec.Struct], *refusals: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: the struct it answers with, and the problems that its caller should expect."""
    content = {"application/json": {"schema": _reference(struct)}}
    return {200: {"description": _first_sentence(struct), "content": content}} | _problems(refusals)


def events_of(
    description: str, *structs: type[msgspec.Struct], refusals: Sequence[HTTPStatus] = ()
) -> dict[int | str, dict[str, Any]]:
    """The same of a live stream: each of its events has one of these in its data."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"oneOf": [_reference(struct) for struct in structs]},
    }
    event = {"type": "object", "properties": {"id": {"type": "string"}, "data": data}, "required": ["data"]}
    content = {"text/event-stream": {"schema": event}}
    return {200: {"description": description, "content": content}} | _problems(refusals)


def _problems(refusals: Sequence[HTTPStatus]) -> dict[int | str, dict[str, Any]]:
    content = {problems.MEDIA_TYPE: {"schema": _reference(models.Problem)}}
    return {status.value: {"description": status.phrase, "content": content} for status in refusals}


def install(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend its document


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    _, components = msgspec.json.schema_components(STRUCTS, ref_template=_REF)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    # Every refusal is a problem document; FastAPI's own error shapes are never sent.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(components)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"token": []}]  # asked for where one is set
    for path in document["paths"].values():
        for operation in path.values():
            expected = {HTTPStatus.UNAUTHORIZED}
            if "422" in operation["responses"]:
                expected.add(HTTPStatus.UNPROCESSABLE_ENTITY)
            operation["responses"] |= {str(status): problem for status, problem in _problems(sorted(expected)).items()}
    return document


def _reference(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=struct.__name__)}


def _first_sentence(struct: type[msgspec.Struct]) -> str:
    document = struct.__doc__ or ""
    return document.split("\n", 1)[0] if not document.startswith(f"{struct.__name__}(") else struct.__name__
