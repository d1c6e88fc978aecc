"""What NATS sends us, read straight from the connection's bytes for subscriptions of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nats.protocol.parser import Parser

Receiver = Callable[[bytes, bytes, bytes, bytes], None]
"""Takes subject, reply subject, payload and raw headers of a message (empty where it has none); must not block or raise."""

Refused = Callable[[str, str], None]
"""Takes what the server does not permit, `publish` or `subscribe`, and the subject; must not block or raise."""

_VERBS: Final = {b"Publish": "publish", b"Subscription": "subscribe"}
_refusal = re.compile(rb"-ERR 'Permissions Violation for (Publish|Subscription) to \"(.*?)\"").match


class FastParser(Parser):
    """Gives messages to the receivers of their subscriptions, and refusals, of which nats-py tells in lower case, to `refused`;
    all else, line by line, to nats-py's own parser.

    nats-py matches up to seven regular expressions per message and cuts it from the front of a buffer; this one finds it
    where it lies. `buf` holds an incomplete message, from the start of its control line.
    """

    def __init__(self, client: Any, receivers: Mapping[int, Receiver], refused: Refused) -> None:  # noqa: ANN401 - nats-py's parser is untyped
        self._connection = 0
        super().__init__(client)
        self._receivers = receivers
        self._refused = refused

    def reset(self) -> None:
        """nats-py calls this when it gives up a connection: what is left of it must not meet the next one."""
        super().reset()
        self._connection += 1

    async def parse(self, data: bytes = b"") -> None:
        if self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        position, connection = 0, self._connection
        while (line_end := data.find(b"\r\n", position)) >= 0:
            line = data[position:line_end]
            start = end = line_end + 2
            if line.startswith((b"MSG ", b"HMSG ")):
                fields = line.split(b" ")
                end = start + int(fields[-1])
                if len(data) < end + 2:
                    break
                await self._dispatch(fields, data[start:end])
                position = end + 2
            elif refusal := _refusal(line):
                self._refused(_VERBS[refusal[1]], refusal[2].decode("utf-8", "replace"))
                position = start
            else:
                await super().parse(data[position:start])
                position = start
            if self._connection != connection:
                return
        self.buf.extend(data[position:])

    async def _dispatch(self, fields: list[bytes], content: bytes) -> None:
        """`MSG <subject> <sid> [reply] <size>` or `HMSG <subject> <sid> [reply] <size of headers> <size>`."""
        with_headers = fields[0] == b"HMSG"
        handle = int(fields[2])
        reply = fields[3] if len(fields) > 4 + with_headers else b""
        size = int(fields[-2]) if with_headers else 0
        receiver = self._receivers.get(handle)
        if receiver is None:
            await self.nc._process_msg(handle, fields[1], reply, content[size:], content[:size])  # noqa: SLF001
        else:
            receiver(fields[1], reply, content[size:], content[:size])
