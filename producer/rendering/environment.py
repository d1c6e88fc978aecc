"""Jinja2 as Jetpost uses it: sandboxed, strict about names, with the filters that make sense in a mail.

Templates come from whoever writes campaigns and values from whoever fills the audience, so neither is trusted with more
than text: the sandbox keeps templates off Python, autoescape keeps values from becoming markup.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

Kind = Literal["html", "text"]
"""`html` escapes values; `text` is for the text part, the subject and all other headers."""

_FILTERS: Final = (
    *(
        "abs",
        "batch",
        "capitalize",
        "d",
        "default",
        "e",
        "escape",
        "filesizeformat",
        "first",
        "float",
        "format",
        "groupby",
    ),
    *("indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr"),
    *("replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum"),
    *("title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap"),
)
"""Left out of Jinja2's own: what draws lots (`random`) or is made for debugging and web pages (`pprint`, `tojson`, `xmlattr`).
Rendering must give the same bytes each time, since a batch that is resumed is rendered anew."""


@cache
def environment(kind: Kind) -> ImmutableSandboxedEnvironment:
    """The environment for templates of a kind; undefined names raise `jinja2.UndefinedError` when they are used."""
    made = ImmutableSandboxedEnvironment(
        autoescape=kind == "html",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        cache_size=0,
    )
    # No `range`, `lipsum`, `cycler`: a template sees its recipient's values and nothing else.
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in _FILTERS}
    return made
