"""Forms that strangers post as `multipart/form-data` (RFC 7578). Pure; takes time in proportion, whatever they send.

The standard library's parser of mail would read them, too, and takes the square of the time for a header made for that.
"""

from __future__ import annotations

import re
from typing import Final

_BOUNDARY: Final = re.compile(r";\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70}))", re.IGNORECASE)
"""At most 70 characters (RFC 2046 §5.1.1)."""
_NAME: Final = re.compile(
    rb"^content-disposition:[^\r\n]{0,200}?;[ \t]*name=(?:\"([^\"\r\n]{0,200})\"|([^\s;\"]{1,200}))",
    re.IGNORECASE | re.MULTILINE,
)
_MAX_HEAD: Final = 2_000


def fields(content_type: str, body: bytes, most: int) -> dict[str, str]:
    """By name the values of the first `most` parts, of several with one name the last; empty for what is no such form.

    Line ends may be CRLF or LF. Parts within parts are values like others.
    """
    found = _BOUNDARY.search(content_type)
    mark = (found[1] or found[2]).encode("latin-1", "replace") if found else b""
    if not mark.strip():
        return {}
    named: dict[str, str] = {}
    for part in re.split(rb"\r?\n--" + re.escape(mark), b"\n" + body, maxsplit=most + 1)[1 : most + 1]:
        if part.startswith(b"--"):
            break
        head, value = _divided(part)
        name = _NAME.search(head)
        if name is not None:
            named[(name[1] or name[2] or b"").decode("utf-8", "replace")] = value.decode("utf-8", "replace").strip(
                "\r\n"
            )
    return named


def _divided(part: bytes) -> tuple[bytes, bytes]:
    """Head and value: an empty line is between them."""
    found = re.search(rb"\r?\n\r?\n", part[:_MAX_HEAD])
    return (part[: found.start()], part[found.end() :]) if found else (b"", b"")
