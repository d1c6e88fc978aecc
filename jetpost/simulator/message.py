"""Finding the end of a message, and its mail id, in a stream of bytes, without ever splitting it into lines.

A message comes after DATA, up to a line with a single dot, or in BDAT chunks of known size.
"""

from __future__ import annotations

import re
from typing import Final

_END: Final = b"\r\n.\r\n"
_DOT_LINE: Final = b".\r\n"
_HEADER: Final = b"Message-ID: <"
_ID_LENGTH: Final = 16
_ID: Final = re.compile(rb"[a-z2-7]{16}\.")
_ANY_HEADER: Final = re.compile(rb"^message-id:\s*<([a-z2-7]{16})\.", re.IGNORECASE | re.MULTILINE)
_MAX_HEADERS: Final = 65_536


class MessageReader:
    """Takes the bytes of one message at a time."""

    __slots__ = ("_head", "_tail", "mail_id", "size")

    size: int
    """Bytes of the message so far; at its end without the dot line."""
    mail_id: bytes
    """The id from `Message-ID: <mail_id.campaign@domain>`, known at the end; empty where there is none."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new message starts with the next byte."""
        self.size = 0
        self.mail_id = b""
        self._head = b""
        self._tail = b"\r\n"

    def feed(self, data: bytes, start: int) -> int:
        """Takes a message up to its dot line (RFC 5321 §4.5.2); returns where in `data` what follows it starts, or -1 where it
        goes on beyond `data`."""
        if self.size:
            return self._feed_more(data[start:], start)
        if data.startswith(_DOT_LINE, start):
            return start + len(_DOT_LINE)
        end = data.find(_END, start)
        if end < 0:
            return self._feed_more(data[start:], start)
        self.size = end + 2 - start
        self.mail_id = mail_id_of(data, start, end)
        return end + len(_END)

    def feed_chunk(self, data: bytes, start: int, end: int) -> None:
        """Takes a part of a message that comes in chunks (RFC 3030)."""
        self.size += end - start
        if len(self._head) < _MAX_HEADERS:
            self._head += data[start : min(end, start + _MAX_HEADERS)]

    def end_chunks(self) -> None:
        """The last chunk was taken."""
        self.mail_id = mail_id_of(self._head, 0, len(self._head))

    def _feed_more(self, chunk: bytes, start: int) -> int:
        """The slow path: the message is spread over several reads. Keeps the headers and the last four bytes."""
        if len(self._head) < _MAX_HEADERS:
            self._head += chunk[:_MAX_HEADERS]
        joined = self._tail + chunk
        end = joined.find(_END)
        if end < 0:
            self._tail = joined[-4:]
            self.size += len(chunk)
            return -1
        taken = end + len(_END) - len(self._tail)
        self.size += taken - len(_DOT_LINE)
        self.mail_id = mail_id_of(self._head, 0, len(self._head))
        return start + taken


def mail_id_of(data: bytes, start: int, end: int) -> bytes:
    """From the first Message-ID header of the message between `start` and `end`; empty where there is none.

    There are short cuts for the way in which ours is written.
    """
    end = min(end, start + _MAX_HEADERS)
    if data.startswith(_HEADER, start) and _ID.match(data, start + len(_HEADER), end):
        return data[start + len(_HEADER) : start + len(_HEADER) + _ID_LENGTH]
    headers_end = data.find(b"\r\n\r\n", start, end)
    if headers_end < 0:
        headers_end = end
    found = data.find(_HEADER, start, headers_end)
    begin = found + len(_HEADER)
    starts_line = found == start or data[found - 1 : found] == b"\n"
    if found >= 0 and starts_line and _ID.match(data, begin, headers_end):
        return data[begin : begin + _ID_LENGTH]
    match = _ANY_HEADER.search(data, start, headers_end)
    return match[1] if match else b""
