"""The `relaxed` canonical form of header and body (RFC 6376 §3.4.2, §3.4.4): what survives relays that touch white space.

Everything here is about messages as they go over the wire: lines with CRLF at the end of each, and no other CR or LF
(`smtp_wire.with_crlf`). White space is the blank and the tab, and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple


class Fields(NamedTuple):
    """The header fields of a message, from the top."""

    names: tuple[bytes, ...]
    """In lower case."""
    lines: list[bytes]
    """Each whole and relaxed: `name:value` and CRLF."""


def split(message: bytes) -> tuple[bytes, bytes]:
    """Header and body, without the empty line between them; the header's last line has no CRLF."""
    if message.startswith(b"\r\n"):
        return b"", message[2:]
    head, _, body = message.partition(b"\r\n\r\n")
    return head, body


def fields(head: bytes) -> Fields:
    """The fields of a header."""
    if not head:
        return Fields((), [])
    unfolded = single_spaced(head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" "))
    names, lines = [], []
    for line in unfolded.removesuffix(b"\r\n").split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.rstrip(b" ").lower()
        names.append(name)
        lines.append(b"%b:%b\r\n" % (name, value.strip(b" ")))
    return Fields(tuple(names), lines)


def body(text: bytes) -> bytes:
    """A body: no white space at the end of a line, no empty lines at its end, and empty where there is nothing else."""
    text = single_spaced(text).replace(b" \r\n", b"\r\n").rstrip(b" \r\n")
    return text + b"\r\n" if text else b""


def single_spaced(text: bytes) -> bytes:
    """Any run of blanks and tabs as one blank. Takes two or three looks at the text, whatever is in it: a pattern that
    matches every blank costs ten times as much."""
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
