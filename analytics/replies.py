"""What a server's reply says, without what differs from mail to mail, so that equal reasons count as one. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MAX_LENGTH: Final = 200

_VARIABLE: Final = re.compile(
    r"""
    (?P<kept>    (?<![\w.]) [245]\.\d{1,3}\.\d{1,3} (?![\w.]) | ^[245]\d\d\b )   # enhanced status code (RFC 3463), reply code
  | (?P<address> <? [^\s<>@:;,"()]+ @ [\w.\-\[\]:]*[\w\]] >? )
  | (?P<ip>      \b\d{1,3}(?:\.\d{1,3}){3}\b | (?<![\w:]) (?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4} (?![\w:]) )
  | (?P<id>      (?=[\w\-=+]*\d) (?=[\w\-=+]*[A-Za-z]) [A-Za-z0-9][\w\-=+]{5,} (?: \.[\w\-=+.]*\w )? )
  | (?P<n>       \d+ )
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=10_000)
def pattern_of(reply: str) -> str:
    """The reply with addresses, IP addresses, ids and numbers as `<address>`, `<ip>`, `<id>`, `<n>`; at most 200 characters.

    Status codes stay: they are the reason. An id is a word of six characters or more that mixes letters and digits.
    """
    line = " ".join(reply[: 2 * MAX_LENGTH].split())
    return _VARIABLE.sub(_placeholder, line)[:MAX_LENGTH]


def _placeholder(match: re.Match[str]) -> str:
    return match[0] if match.lastgroup == "kept" else f"<{match.lastgroup}>"
