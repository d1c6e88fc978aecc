"""Everything in a range of a stream's sequences, read fast, and all of it or an error.

A direct get is answered by any copy of the stream (ADR-31), which may lag behind, and on a server that was cut off from the
others for long. So what a copy did not give is looked for in what the leader says is gone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection
from typing import Any, Final

from events.bus import Passage
from events.errors import BusError, BusUnavailable
from events.nats_frames import frame
from events.nats_wire import NO_RESPONDERS, ConnectionLost, NoResponders, WireClient, status_of

PAGE: Final = 20_000
PAGE_BYTES: Final = 8 * 1024 * 1024
"""A page ends at this many messages or bytes."""

TIMEOUT_SECONDS: Final = 10.0
_ENDS: Final = frozenset({b"204", b"404"})
"""Statuses with which a page ends: of its last message, and where there is none."""

_place = re.compile(rb"\r\nNats-Stream: [^\r]+\r\nNats-Subject: ([^\r]+)\r\nNats-Sequence: (\d+)\r\n").search
"""The server appends these to the headers that the message has. To take apart all of them costs more than to read the message."""


async def read(client: WireClient, stream: str, first: int, last: int) -> list[Passage]:
    """What one copy has, in order."""
    found: list[Passage] = []
    while first <= last:
        page = await _Page(client).get(stream, first, min(PAGE, last - first + 1))
        if not page:
            break
        found += page
        first = page[-1].sequence + 1
    while found and found[-1].sequence > last:  # a page jumps over gaps
        found.pop()
    return found


def lacking(found: Collection[Passage], first: int, last: int, state: dict[str, Any]) -> list[int]:
    """Sequences that a copy did not give and that are not gone, by the leader's `state` with its deleted ones. Pure."""
    there = {passage.sequence for passage in found} | set(state.get("deleted") or ())
    return [sequence for sequence in range(max(first, state["first_seq"]), last + 1) if sequence not in there]


class _Page:
    """One batched direct get and its answers."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._found: list[Passage] = []
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def get(self, stream: str, first: int, count: int) -> list[Passage]:
        inbox = self._client.new_inbox()
        request = {"seq": max(first, 1), "next_by_subj": ">", "batch": count, "max_bytes": PAGE_BYTES}
        subject = f"$JS.API.DIRECT.GET.{stream}"
        receiver = await self._client.receive(inbox, self._on_message)
        forget_lost = self._client.on_lost(lambda: self._fail(ConnectionLost()))
        forget_refused = self._client.on_refused(subject, self._fail)
        try:
            await self._client.send(frame(subject, json.dumps(request).encode("ascii"), inbox.encode("ascii")))
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._end
        except TimeoutError:
            raise BusUnavailable(f"NATS did not answer within {TIMEOUT_SECONDS:g} s") from None
        finally:
            forget_lost()
            forget_refused()
            self._end.cancel()
            await self._client.forget(receiver)
        return self._found

    def _on_message(self, _subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        if place := _place(headers):
            self._found.append(Passage(payload, place[1].decode(), int(place[2])))
        elif (status := status_of(headers)) in _ENDS:
            if not self._end.done():
                self._end.set_result(None)
        elif status == NO_RESPONDERS:
            self._fail(NoResponders())
        else:
            self._fail(BusError(f"NATS refused to read, with status {status.decode()}"))

    def _fail(self, error: BusError) -> None:
        if not self._end.done():
            self._end.set_exception(error)
