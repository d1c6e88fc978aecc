"""What DNS says of a key (RFC 6376 §3.6): one TXT record per selector, as zone files and registrars want it, and read back."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple

STRING_BYTES: Final = 255
"""The most that one string of a TXT record holds (RFC 1035 §3.3); verifiers join the strings (RFC 6376 §3.6.2.2)."""

_STRINGS: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LINE: Final = re.compile(
    r"^(?P<name>\S+\._domainkey\.\S+?)\.?\s+(?:\d+\s+)?(?:IN\s+)?TXT\s+(?P<rest>.+)$", re.IGNORECASE
)


class Record(NamedTuple):
    """A TXT record."""

    name: str
    """Without a dot at the end."""
    text: str


class PublicKey(NamedTuple):
    """What a record says."""

    kind: str
    """`rsa` or `ed25519`, the tag `k=`."""
    data: bytes
    """Empty: the key was revoked."""


class BadRecord(ValueError):
    """This text is no DKIM key record; the message says why."""


def name_of(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def of_key(domain: str, selector: str, kind: str, public: bytes) -> Record:
    """The record that publishes a key."""
    return Record(name_of(selector, domain), f"v=DKIM1; k={kind}; p={b64encode(public).decode('ascii')}")


def zone_line(record: Record) -> str:
    """As a line of a zone file, in strings that are short enough."""
    return f"{record.name}. IN TXT {' '.join(strings(record.text))}"


def strings(text: str) -> list[str]:
    """The text cut into quoted strings."""
    return [f'"{text[start : start + STRING_BYTES]}"' for start in range(0, len(text), STRING_BYTES)]


def parse_zone(text: str) -> dict[str, str]:
    """The texts of the DKIM records among the lines of a zone file, by name in lower case.

    Takes what `zone_line` and `dig` print, also with the strings on lines of their own in parentheses.
    """
    joined = re.sub(r"\(([^()]*)\)", lambda group: group[1].replace("\n", " "), text)
    found = {}
    for line in joined.splitlines():
        if match := _LINE.match(line.strip()):
            texts = _STRINGS.findall(match["rest"]) or [match["rest"]]
            found[match["name"].lower()] = "".join(re.sub(r"\\(.)", r"\1", part) for part in texts).strip()
    return found


def parse(text: str) -> PublicKey:
    """Raises `BadRecord`."""
    tags = tags_of(text)
    if tags.get("v", "DKIM1") != "DKIM1":
        raise BadRecord(f"the record is of version {tags['v']}, not DKIM1")
    if "sha256" not in tags.get("h", "sha256").split(":"):
        raise BadRecord("the record does not allow SHA-256 (h=)")
    if "p" not in tags:
        raise BadRecord("the record has no key (p=)")
    try:
        return PublicKey(tags.get("k", "rsa"), b64decode(re.sub(r"\s", "", tags["p"]), validate=True))
    except ValueError as error:
        raise BadRecord("the record's key (p=) is not base64") from error


def tags_of(text: str) -> Mapping[str, str]:
    """A tag list (RFC 6376 §3.2); white space around names and values does not count. Raises `BadRecord`."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals or name.strip() in tags:
            raise BadRecord(f"{part.strip()[:40]!r} is no tag, or comes twice")
        tags[name.strip()] = value.strip()
    return tags
