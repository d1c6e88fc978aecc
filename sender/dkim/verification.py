"""Checks signatures like ours (relaxed/relaxed, SHA-256) against key records that are given, so that a signed mail can be
looked into without DNS, and before the records are published."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from sender.dkim import canonical, records
from sender.dkim.canonical import Fields
from sender.dkim.records import BadRecord, PublicKey

_FIELD: Final = b"dkim-signature"
_B_VALUE: Final = re.compile(rb"((?:^[^:]*:|;) ?b ?=)[^;]*")
_NEEDED: Final = ("v", "a", "b", "bh", "d", "h", "s")


class Verdict(NamedTuple):
    """What is to be said of one signature."""

    domain: str
    selector: str
    algorithm: str
    signed: tuple[str, ...] = ()
    """The names in `h=`."""
    problem: str = ""
    """Why it does not hold; empty: it does."""


class _Broken(Exception):
    """The signature does not hold; the message says why."""


def verify(message: bytes, texts: Mapping[str, str], now: float) -> list[Verdict]:
    """A verdict for every signature, from the top. `texts` are those of key records, by their names in lower case.

    The message must be lines with CRLF.
    """
    return list(_verdicts(message, texts, now))


def _verdicts(message: bytes, texts: Mapping[str, str], now: float) -> Iterator[Verdict]:
    head, body = canonical.split(message)
    fields = canonical.fields(head)
    body_hash = hashlib.sha256(canonical.body(body)).digest()
    for name, line in zip(*fields, strict=True):
        if name != _FIELD:
            continue
        tags: Mapping[str, str] = {}
        problem = ""
        try:
            tags = records.tags_of(line.partition(b":")[2].decode("utf-8"))
            _check(tags, line, fields, body_hash, texts, now)
        except (_Broken, BadRecord, UnicodeDecodeError) as error:
            problem = str(error)
        named = tuple(re.split(r"\s*:\s*", tags.get("h", "")))
        yield Verdict(tags.get("d", "?"), tags.get("s", "?"), tags.get("a", "?"), named, problem)


def _check(
    tags: Mapping[str, str], line: bytes, fields: Fields, body_hash: bytes, texts: Mapping[str, str], now: float
) -> None:
    """Raises `_Broken` and `BadRecord`."""
    missing = [tag for tag in _NEEDED if tag not in tags]
    if missing or tags["v"] != "1":
        raise _Broken(f"it lacks {', '.join(missing)}" if missing else f"its version is {tags['v']}, not 1")
    if tags.get("c") != "relaxed/relaxed" or "l" in tags:
        raise _Broken("only relaxed/relaxed signatures of the whole body are checked here")
    if "from" not in tags["h"].lower().replace(" ", "").split(":"):
        raise _Broken("it does not cover From (RFC 6376 §5.4)")
    if tags.get("x", "").isdecimal() and now > int(tags["x"]):
        raise _Broken("it has expired")
    name = records.name_of(tags["s"], tags["d"]).lower()
    if name not in texts:
        raise _Broken(f"there is no record {name}")
    if _decoded("bh", tags["bh"]) != body_hash:
        raise _Broken("the body is not the one that was signed")
    _check_signature(tags["a"], records.parse(texts[name]), _decoded("b", tags["b"]), _header_hash(tags, line, fields))


def _decoded(tag: str, value: str) -> bytes:
    try:
        return b64decode(value.replace(" ", ""), validate=True)
    except ValueError as error:
        raise _Broken(f"its {tag}= is not base64") from error


def _header_hash(tags: Mapping[str, str], line: bytes, fields: Fields) -> bytes:
    left: dict[bytes, list[bytes]] = {}
    for name, one in zip(*fields, strict=True):
        left.setdefault(name, []).append(one)
    signed = hashlib.sha256()
    for name in tags["h"].lower().encode().replace(b" ", b"").split(b":"):
        if left.get(name):
            signed.update(left[name].pop())
    signed.update(_B_VALUE.sub(rb"\1", line.removesuffix(b"\r\n")))
    return signed.digest()


def _check_signature(algorithm: str, public: PublicKey, signature: bytes, digest: bytes) -> None:
    if not public.data:
        raise _Broken("the key was revoked: the record's p= is empty")
    if algorithm != f"{public.kind}-sha256":
        raise _Broken(f"it says {algorithm}, and the record has a key for {public.kind}")
    try:
        key = _public_key(public)
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, digest)
        else:
            key.verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    except InvalidSignature as error:
        raise _Broken("a signed header is not the one that was signed, or the record has another key") from error


def _public_key(public: PublicKey) -> Ed25519PublicKey | RSAPublicKey:
    try:
        if public.kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(public.data)
        key = serialization.load_der_public_key(public.data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _Broken("the record's key (p=) cannot be read") from error
    if not isinstance(key, RSAPublicKey):
        raise _Broken("the record's key is no RSA key")
    return key
