"""Secrets in the binary form in which helm sends those that keep its releases (k8s.io/api, core/v1/generated.proto)."""

import base64
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
PROTOBUF = b"k8s\0"


def secret_of(raw: bytes) -> Document:
    """The same as JSON has it."""
    metadata: Document = {"labels": {}}
    data: dict[str, str] = {}
    (body,) = [value for number, value in _fields(raw[len(PROTOBUF) :]) if number == 2]
    for number, value in _fields(body):
        if number == 1:
            for field, text in _fields(value):
                if field == 1:
                    metadata["name"] = text.decode()
                elif field == 11:
                    key, label = _entry(text)
                    metadata["labels"][key] = label.decode()
        elif number == 2:
            key, content = _entry(value)
            data[key] = base64.b64encode(content).decode()
    return {"metadata": metadata, "data": data, "type": "helm.sh/release.v1"}


def _entry(raw: bytes) -> tuple[str, bytes]:
    found = dict(_fields(raw))
    return found[1].decode(), found.get(2, b"")


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message: those of its numbers that are varints or have a length."""
    rest = iter(raw)
    for first in rest:
        tag = _varint(rest, first)
        size_or_value = _varint(rest, next(rest))
        if tag & 7 == 2:
            yield tag >> 3, bytes(next(rest) for _ in range(size_or_value))
        else:
            yield tag >> 3, size_or_value


def _varint(rest: Iterator[int], byte: int) -> int:
    value, shift = byte & 127, 7
    while byte & 128:
        byte = next(rest)
        value |= (byte & 127) << shift
        shift += 7
    return value
