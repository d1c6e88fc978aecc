"""The dashboard's files, read once, compressed once, and named by their content so that browsers keep them for ever.

Chart.js comes from the `chartkick` distribution, which packages it; no copy of it lies here.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

CHART: Final = "vendor/chart.js"

_MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_CHECK_FIRST: Final = "no-cache"


class Asset(msgspec.Struct, frozen=True):
    media_type: str
    plain: bytes
    gzipped: bytes


class Assets(msgspec.Struct, frozen=True):
    digest: str
    """Changes with any file. As all files live under it, modules may import each other by relative names."""
    files: Mapping[str, Asset]

    @property
    def base(self) -> str:
        """Where the files are served, without a trailing slash."""
        return f"/static/{self.digest}"

    def respond(self, path: str, request: Request) -> Response | None:
        """The file below `/static/`, with or without digest; None where there is none."""
        digest, _, rest = path.partition("/")
        current = digest == self.digest
        asset = self.files.get(rest if current else path)
        if asset is None:
            return None
        headers = {"Cache-Control": _FOR_EVER if current else _CHECK_FIRST, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(asset.plain, headers=headers, media_type=asset.media_type)
        return Response(asset.gzipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)


@cache
def load() -> Assets:
    contents = {
        file.name: file.read_bytes() for file in (resources.files(__package__) / "static").iterdir() if file.is_file()
    }
    contents[CHART] = chart_js()
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + b"\0" + contents[name])
    return Assets(digest.hexdigest()[:12], {name: _asset(name, data) for name, data in contents.items()})


def _asset(name: str, data: bytes) -> Asset:
    return Asset(_MEDIA_TYPES[name.rsplit(".", 1)[-1]], data, gzip.compress(data, mtime=0))


def chart_js() -> bytes:
    """Chart.js as `chartkick` ships it. Raises `FileNotFoundError` where the distribution lacks it."""
    files = metadata.files("chartkick") or []
    found = next((file for file in files if file.name == "Chart.bundle.js"), None)
    if found is None:
        raise FileNotFoundError("the installed chartkick has no Chart.bundle.js; install chartkick>=1.2,<2")
    return found.read_binary()
