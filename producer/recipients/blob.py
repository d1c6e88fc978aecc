"""A batch's recipients as one blob: msgpack in one zstd frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import zstandard

from producer.recipients.recipient import Recipient

_MAX_BYTES: Final = 1 << 30
"""No batch is larger unpacked; a frame that says otherwise is not ours."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Recipient]).decode


def encode(recipients: Sequence[Recipient]) -> bytes:
    """The same recipients give the same bytes."""
    return zstandard.ZstdCompressor(level=3).compress(_encode(recipients))


def decode(blob: bytes) -> list[Recipient]:
    """Raises `ValueError` for what is not a batch."""
    try:
        recipients: list[Recipient] = _decode(zstandard.ZstdDecompressor().decompress(blob, max_output_size=_MAX_BYTES))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise ValueError(f"not a batch of recipients: {error}") from error
    return recipients
