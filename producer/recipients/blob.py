"""A batch's recipients as one blob: a msgpack array in one zstd frame."""

from __future__ import annotations

from typing import Final

import msgspec

from events import compression
from producer.recipients.recipient import Recipient

MAX_BYTES: Final = 16 << 20
"""Of a batch before compression, give or take one recipient; a batch of long rows is cut earlier than by their number."""

_ARRAY_32: Final = b"\xdd"
"""Begins a msgpack array whose length is four bytes."""

_encode_into = msgspec.msgpack.Encoder().encode_into
_decode = msgspec.msgpack.Decoder(list[Recipient]).decode


class BatchWriter:
    """Collects recipients in encoded form, a few dozen bytes each."""

    def __init__(self) -> None:
        self._rows = bytearray()
        self.count = 0

    def add(self, recipient: Recipient) -> None:
        _encode_into(recipient, self._rows, -1)
        self.count += 1

    @property
    def full(self) -> bool:
        return len(self._rows) >= MAX_BYTES

    def finish(self) -> bytes:
        """The blob; the same recipients give the same bytes."""
        return compression.compress(_ARRAY_32 + self.count.to_bytes(4, "big") + self._rows)


def decode(blob: bytes) -> list[Recipient]:
    """Raises `ValueError` for what is not a batch."""
    try:
        recipients: list[Recipient] = _decode(compression.decompress(blob))
    except msgspec.DecodeError as error:
        raise ValueError(f"not a batch of recipients: {error}") from error
    return recipients
