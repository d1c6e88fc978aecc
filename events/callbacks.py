"""Callbacks of ESPs as they lie in the stream CALLBACKS: verified, otherwise as they came.

Who answers the ESP stores them; `analytics.hearing` reads them and says what they mean. What could not be understood is kept
beside them, parked, with the reason.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import msgspec

from events import compression, streams, subjects
from events.bus import Bus, Message

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
LARGEST_MESSAGE: Final = 512 * 1024
"""Of what NATS takes (1 MiB unless it is set otherwise). What is larger is stored in parts."""

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
    """The object that holds the body instead, where an earlier release stored one that is larger than a message may be."""
    reason: str = ""
    """Of a parked one: what was wrong."""
    replays: int = 0
    """Where in CALLBACKS the parked one lies that this is again; 0: it came from the ESP."""
    parts: str = ""
    """By this the parts of the body are known, if it is larger than a message may be, and lies beside it."""


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


def in_parts(callback: Callback, known_as: str, size: int = LARGEST_MESSAGE) -> tuple[Callback, list[Message]]:
    """The callback without its body, and the messages that hold it, to be stored before. Nothing in CALLBACKS replaces anything,
    so whoever may write there can spoil nothing."""
    starts = range(0, len(callback.body), size)
    parts = [
        Message(subjects.callback_part(known_as, number), callback.body[start : start + size], f"{known_as}/{number}")
        for number, start in enumerate(starts)
    ]
    return msgspec.structs.replace(callback, body=b"", parts=known_as), parts


async def stored_body(bus: Bus, callback: Callback) -> bytes:
    """As it lies wherever it lies; without the parts that are not there. Raises `RetryLater`, and `KeyError` where it is gone."""
    if callback.blob:
        return await (await bus.blobs()).get(callback.blob)
    if not callback.parts:
        return callback.body
    parts = {}  # by number, because what was sent twice may be stored twice
    async for record in bus.read(streams.CALLBACKS.name, subjects.callback_parts(callback.parts)):
        parts[int(record.subject.rpartition(".")[2])] = record.payload
    return b"".join(part for _, part in sorted(parts.items()))


async def forget_body(bus: Bus, callback: Callback) -> None:
    """Of what is understood, whatever does not lie in its message. Harmless to repeat. Raises `RetryLater`."""
    if callback.blob:
        await (await bus.blobs()).delete(callback.blob)
    if callback.parts:
        await bus.purge(streams.CALLBACKS.name, subjects.callback_parts(callback.parts))


def body_of(callback: Callback, stored: bytes) -> bytes:
    """The exact bytes that came, from what `stored_body` found. Raises `ValueError` where it is damaged."""
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
