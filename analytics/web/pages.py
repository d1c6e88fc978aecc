"""The dashboard's pages and files, and signing in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import jinja2
from fastapi import APIRouter, Body, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from analytics.web import assets, security
from analytics.web.settings import WebSettings

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("analytics.web"), autoescape=True, undefined=jinja2.StrictUndefined
)


def routes(settings: WebSettings) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = assets.load()

    @router.get("/")
    @router.get("/campaigns/{id}")
    @router.get("/docs")
    async def page() -> Response:
        """One page for all views; its script reads the address."""
        html = _TEMPLATES.get_template("index.html").render(base=files.base)
        return HTMLResponse(html, headers={"Cache-Control": "no-cache"})

    @router.get("/campaigns")
    async def to_overview() -> Response:
        return RedirectResponse("/", HTTPStatus.PERMANENT_REDIRECT)

    @router.get("/favicon.ico")
    async def to_icon() -> Response:
        return RedirectResponse(f"{files.base}/icon.svg")

    @router.get("/static/{path:path}")
    async def static(path: str, request: Request) -> Response:
        asset = files.respond(path, request)
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return asset

    @router.post("/api/session", dependencies=[Depends(security.require_command)])
    async def sign_in(token: Annotated[str, Body(embed=True)], request: Request) -> Response:
        """Swaps the token for a cookie that scripts cannot read."""
        if not security.is_token(token, settings.api_token):
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "That is not the token. It is the setting `api_token`.")
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        answer.set_cookie(
            security.SESSION_COOKIE,
            security.session_value(settings.api_token),
            max_age=security.SESSION_SECONDS,
            secure=request.url.scheme == "https" or settings.public_url.startswith("https:"),
            httponly=True,
            samesite="strict",
        )
        return answer

    return router
