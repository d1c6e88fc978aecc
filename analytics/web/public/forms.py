"""What a form that is posted to the door says. Pure."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import parse_qsl

from analytics import formdata
from analytics.web.public import pages
from analytics.web.public.pages import Choice

MOST_BYTES: Final = 16_384
"""Of a body. RFC 8058's has 26."""
_MOST_FIELDS: Final = 20

Wish: TypeAlias = "Choice | Literal['one-click']"


def wish(content_type: str, body: bytes) -> Wish | None:
    """None for what is neither RFC 8058's one click nor a button of ours."""
    fields = _fields(content_type, body)
    if fields.get("List-Unsubscribe") == "One-Click":
        return "one-click"
    chosen = fields.get(pages.FIELD, "")
    return next((choice for choice in get_args(Choice) if choice == chosen), None)


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    """Both encodings that RFC 8058 §3.2 lets a mailbox provider use."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode("ascii"), max_num_fields=_MOST_FIELDS))
        if kind == "multipart/form-data":
            return formdata.fields(content_type, body, _MOST_FIELDS)
    except ValueError:
        pass
    return {}
