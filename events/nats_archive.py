"""Streams as archives, and from archives: the part of `jetpost backup` and `jetpost restore` that speaks to nats-server.

The server sends a stream with its consumers as one archive, in chunks, and waits for acknowledgements before it sends more;
it takes one back the same way, a chunk at a time (`$JS.API.STREAM.SNAPSHOT` and `$JS.API.STREAM.RESTORE`). An archive is of one
moment; those of two streams are of two.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from events.errors import BusError
from events.nats_errors import result_of
from events.nats_frames import frame
from events.nats_wire import WireClient

CHUNK_BYTES: Final = 128 * 1_024
ANSWERS_WITHIN_SECONDS: Final = 30.0
"""For each step. Before the first chunk of a large stream the server reads a while."""


class Archived(msgspec.Struct, frozen=True):
    """What the server must know to take an archive back: both as it told them."""

    config: dict[str, Any]
    state: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def messages(self) -> int:
        return int(self.state["messages"])


async def take(client: WireClient, stream: str, write: Callable[[bytes], object]) -> Archived:
    """Hand the archive of a stream to `write`, chunk by chunk. Raises `BusError`; then what was written is no archive."""
    chunks: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
    inbox = client.new_inbox()

    def on_chunk(_subject: bytes, reply: bytes, payload: bytes, _headers: bytes) -> None:
        chunks.put_nowait((payload, reply.decode("ascii")))

    handle = await client.receive(inbox, on_chunk)
    try:
        wanted = {"deliver_subject": inbox, "no_consumers": False, "chunk_size": CHUNK_BYTES}
        told = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", json.dumps(wanted).encode())
        while True:
            async with asyncio.timeout(ANSWERS_WITHIN_SECONDS):
                payload, reply = await chunks.get()
            if not payload:
                return Archived(told["config"], told["state"])
            await asyncio.to_thread(write, payload)
            if reply:
                await client.send(frame(reply, b""))
    except TimeoutError:
        raise BusError(f"NATS stopped sending the stream {stream} before its end") from None
    finally:
        await client.forget(handle)


async def put_back(client: WireClient, archived: Archived, chunks: Iterable[bytes]) -> None:
    """Make the stream from its archive, in chunks of any size. There must be none of that name. Raises `BusError`."""
    wanted = msgspec.json.encode({"config": archived.config, "state": archived.state})
    told = await _ask(client, f"$JS.API.STREAM.RESTORE.{archived.name}", wanted)
    for chunk in chunks:
        refused = await client.ask(told["deliver_subject"], chunk, ANSWERS_WITHIN_SECONDS)
        if refused:
            result_of(refused, f"restoring {archived.name}")
    made = result_of(
        await client.ask(told["deliver_subject"], b"", ANSWERS_WITHIN_SECONDS), f"restoring {archived.name}"
    )
    if made["state"]["messages"] != archived.messages:
        raise BusError(
            f"the stream {archived.name} has {made['state']['messages']} messages, and its archive {archived.messages}"
        )


async def _ask(client: WireClient, subject: str, payload: bytes) -> dict[str, Any]:
    return result_of(await client.ask(subject, payload, ANSWERS_WITHIN_SECONDS), subject.removeprefix("$JS.API."))
