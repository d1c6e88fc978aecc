"""Callbacks of ESPs as they lie in the stream CALLBACKS: verified, otherwise as they came.

Who answers the ESP stores them; `analytics.hearing` reads them and says what they mean. What could not be understood is kept
beside them, parked, with the reason.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import msgspec

from events import compression, subjects
from events.bus import Message

KEPT_HEADERS: Final = (
    "content-type",
    "svix-id",
    "webhook-id",
    "x-amz-sns-message-type",
    "x-messagesystems-batch-id",
    "user-agent",
)
"""By name in lower case: what it takes to read a body, or tells which delivery it was. No credentials."""

_DELIVERY_HEADERS: Final = ("svix-id", "webhook-id", "x-messagesystems-batch-id")
"""What ESPs call a delivery, the same when they repeat it."""

_COMPRESSED_FROM: Final = 4_096
"""Bytes. Batches of events shrink to a tenth; single ones are not worth it."""

MAX_BODY_BYTES: Final = 2 * 1024 * 1024

Unasked: TypeAlias = Literal["listed", "unknown"]
"""For whom an endpoint may suppress beside what its callbacks prove: `listed`: addresses that the ESP has on a suppression list
of its own; `unknown`: recipients of mails that are not ours."""


class Callback(msgspec.Struct, frozen=True, array_like=True):
    """One request of an ESP. New fields go last, with defaults."""

    esp: str
    endpoint: str
    received_at: float
    """Unix seconds."""
    headers: dict[str, str]
    """Those of `KEPT_HEADERS` that it had."""
    body: bytes
    """As it came; a zstd frame where `compressed`."""
    compressed: bool = False
    suppress: tuple[Unasked, ...] = ()
    """As the endpoint was set when it came."""
    blob: str = ""
    """Where the body lies instead, if it is larger than a message may be."""
    reason: str = ""
    """Of a parked one: what was wrong."""
    replays: int = 0
    """Where in CALLBACKS the parked one lies that this is again; 0: it came from the ESP."""


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Callback).decode


def decode(payload: bytes) -> Callback:
    """Raises `msgspec.DecodeError`."""
    callback: Callback = _decode(payload)
    return callback


def with_body(callback: Callback, body: bytes) -> Callback:
    """The callback with this body, compressed where that pays."""
    if len(body) < _COMPRESSED_FROM:
        return msgspec.structs.replace(callback, body=body)
    return msgspec.structs.replace(callback, body=compression.compress(body), compressed=True)


def in_blob(callback: Callback, blob: str) -> Callback:
    """The callback whose body lies in a blob."""
    return msgspec.structs.replace(callback, body=b"", blob=blob)


def body_of(callback: Callback, stored: bytes) -> bytes:
    """The exact bytes that came; `stored` is `callback.body`, or what lies in its blob. Raises `ValueError`."""
    return compression.decompress(stored, MAX_BODY_BYTES) if callback.compressed else stored


def id_of(callback: Callback, body: bytes) -> str:
    """The same when the ESP sends it again."""
    delivery = [callback.headers.get(name, "") for name in _DELIVERY_HEADERS]
    hashed = blake2b("\0".join((callback.esp, callback.endpoint, *delivery, "")).encode("utf-8", "surrogatepass"))
    hashed.update(body)
    return hashed.hexdigest()[:32]


def message_of(callback: Callback, known_as: str) -> Message:
    """To be stored in CALLBACKS."""
    return Message(subjects.callback(callback.esp, callback.endpoint), encode(callback), known_as)


def parked_message(callback: Callback, known_as: str, reason: str) -> Message:
    """The same beside the others, where nobody reads it again by itself (`events.parked`)."""
    parked = msgspec.structs.replace(callback, reason=reason, replays=0)
    return Message(subjects.parked_callback(callback.esp, callback.endpoint), encode(parked), f"{known_as}/parked")
