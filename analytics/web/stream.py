"""Server-sent events (WHATWG HTML §9.2): a response that lives as long as its client wants to watch."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from analytics.web.hub import Hub, Topic

HEARTBEAT_SECONDS: Final = 15.0
"""Proxies close what is silent for longer (often 30 or 60 seconds), and a heartbeat finds clients that have gone."""

STALLED_SECONDS: Final = 30.0
"""A client that takes nothing for this long is dropped; its browser comes back by itself when it can."""

RECONNECT_MILLISECONDS: Final = 2_000


class EventStream(Response):
    """Snapshots of one topic. Ends when the client goes, stalls, or the hub closes.

    Every snapshot is complete, so a client that comes back with `Last-Event-ID` needs nothing replayed.
    """

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, topic: Topic) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._topic = topic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, gone):
                task.cancel()
            await asyncio.wait({pump, gone})
        if not pump.cancelled() and not isinstance(error := pump.exception(), TimeoutError | None):
            raise error

    async def _pump(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _send_body(send, f"retry: {RECONNECT_MILLISECONDS}\n\n".encode())
        with self._hub.watch(self._topic) as watcher:
            while not watcher.closed:
                frame = await watcher.next(HEARTBEAT_SECONDS)
                line = b": still here\n\n" if frame is None else b"id: %d\ndata: %b\n\n" % frame
                await asyncio.wait_for(_send_body(send, line), STALLED_SECONDS)
        await _send_body(send, b"", more=False)


async def _send_body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
