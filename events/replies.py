"""Reading SMTP replies (RFC 5321 §4.2) as bytes arrive, and what they say: codes, words, hints when to come back."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

MAX_LINE: Final = 8_192
"""Bytes. RFC 5321 §4.5.3.1.5 allows 512; real servers send more, none sends this much."""
MAX_REPLY: Final = 65_536
"""Bytes in all lines of one reply."""
_MAX_WORDS: Final = 2_000
"""Characters of a reply that are kept."""

_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED: Final = re.compile(r"(?:[2-5]\d\d[ -])?#?([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,]|$)[\s:;,]*")
_HINT: Final = re.compile(
    r"\b(?:in|after|for|wait|least)\s+(?:(?:about|another|approximately|at least)\s+)?"
    r"(?:(?P<number>\d{1,6})\s*(?P<unit>s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b|(?P<clock>\d{1,2}:\d\d:\d\d)\b)",
    re.IGNORECASE,
)
_HINT_CONTEXT: Final = re.compile(r"try|retry|wait|again|later|grey|gray|delay|defer|come back|resend", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600}


class Reply(NamedTuple):
    """What a server said."""

    code: int
    """The SMTP code or HTTP status; 0 where there was no reply, such as on a timeout."""
    enhanced: str = ""
    """The enhanced status code (RFC 3463) such as `4.2.2`; empty where there is none."""
    text: str = ""
    """The words, of all lines, without the codes."""


class ReplyReader:
    """Cuts a stream of bytes into replies."""

    __slots__ = ("_lines", "_rest", "_size", "malformed")

    malformed: str
    """What was sent that is no SMTP reply; empty while all is well. Nothing after it on the connection can be trusted."""

    def __init__(self) -> None:
        self.malformed = ""
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def between_replies(self) -> bool:
        """Nothing of a reply was read that is not complete yet."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete now, in order, up to where `malformed` is set."""
        if self._rest:
            data = self._rest + data
        *lines, self._rest = data.split(b"\n")
        replies: list[Reply] = []
        for line in lines:
            reply = None if self._lines else single_line(line)
            if reply is None:
                reply = self._continue(line)
            if self.malformed:
                return replies
            if reply is not None:
                replies.append(reply)
        if len(self._rest) > MAX_LINE:
            self.malformed = "a line without an end"
        return replies

    def _continue(self, line: bytes) -> Reply | None:
        """Takes a line of a multi-line reply; the reply where it is the last one."""
        match = _LINE.fullmatch(line.removesuffix(b"\r"))
        self._size += len(line)
        if match is None or len(line) > MAX_LINE:
            self.malformed = f"not a reply: {line[:80]!r}"
        elif self._lines and match[1] != self._lines[0][:3]:
            self.malformed = f"code {match[1].decode()} inside a reply with code {self._lines[0][:3].decode()}"
        elif self._size > MAX_REPLY:
            self.malformed = "a reply without an end"
        else:
            self._lines.append(match[0])
        if self.malformed or match is None or match[2] == b"-":
            return None
        lines, self._lines, self._size = self._lines, [], 0
        return _reply(lines)


@lru_cache(maxsize=1_024)
def single_line(line: bytes) -> Reply | None:
    """The reply in one line, which ends before the LF; None where more lines follow, or where it is none.

    Servers repeat themselves: worth caching.
    """
    match = _LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None or match[2] == b"-" or len(line) > MAX_LINE:
        return None
    text = line[4:].decode("utf-8", "replace").strip()
    enhanced = _ENHANCED.match(text)
    words = text[enhanced.end() :] if enhanced else text
    return Reply(int(line[:3]), enhanced[1] if enhanced else "", words.strip()[:_MAX_WORDS])


def _reply(lines: list[bytes]) -> Reply:
    texts = [line[4:].decode("utf-8", "replace").strip() for line in lines]
    matches = [_ENHANCED.match(text) for text in texts]
    words = " ".join(text[match.end() :] if match else text for text, match in zip(texts, matches, strict=True))
    enhanced = next((match[1] for match in matches if match), "")
    return Reply(int(lines[0][:3]), enhanced, words.strip()[:_MAX_WORDS])


def parse(text: str) -> Reply:
    """A reply as it stands in logs and bounce mails, whole or cut out: `550 5.1.1 no such user`, `smtp; 550-…`.

    Text without a code gives code 0.
    """
    text = re.sub(r"^\s*(?:[245]\.\d{1,3}\.\d{1,3}\s+)?(?:smtp|x-\w+)\s*;\s*", "", text, flags=re.IGNORECASE).strip()
    lines = [line.strip().encode("utf-8", "replace") for line in text.splitlines() if line.strip()]
    code = lines[0][:3] if lines else b""
    if not lines or _LINE.fullmatch(lines[0]) is None:
        return Reply(0, "", " ".join(text.split())[:_MAX_WORDS])
    same = re.compile(code + rb"(?:[ -]|$)")
    return _reply([line if same.match(line) else code + b" " + line for line in lines])


def retry_after_seconds(text: str) -> float | None:
    """The server's own `try again in N seconds` (or minutes, hours, h:mm:ss); None where it gives none."""
    if not _HINT_CONTEXT.search(text):
        return None
    match = _HINT.search(text)
    if match is None:
        return None
    if match["clock"]:
        hours, minutes, seconds = (int(part) for part in match["clock"].split(":"))
        return float(hours * 3_600 + minutes * 60 + seconds)
    return float(int(match["number"]) * _SECONDS[match["unit"][0].lower()])
