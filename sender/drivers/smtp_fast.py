"""`smtp_session` with the turn that nearly every mail takes done in one step instead of one for each reply.

    C: <message 1>, MAIL RCPT of 2         S: 250 | 250 250        (with DATA: 250 | 250 250 354)
    C: <message 2>, MAIL RCPT of 3

`Session` is the reference, and whatever is not exactly this goes to it: refusals, replies of several lines or cut in two, 421,
surplus replies, the first and the last turn of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from events import replies
from sender.drivers.base import Accepted
from sender.drivers.smtp_session import Expect, Session
from sender.drivers.smtp_wire import Extensions

_OK: Final = b"250 "
_GO_ON: Final = b"354 "


class FastSession(Session):
    """Does what `Session` does, with fewer steps."""

    def __init__(self, extensions: Extensions, clock: Callable[[], float], *, turn_seconds: float = inf) -> None:
        super().__init__(extensions, clock, turn_seconds=turn_seconds)
        self._replies_of_turn = 3 if extensions.chunking else 4

    def feed(self, data: bytes) -> bytes:
        expected = self._expected
        # the final reply and an envelope: nothing else is ever this long and starts like this
        if len(expected) == self._replies_of_turn and expected[0] is Expect.FINAL and self._reader.between_replies:
            lines = data.split(b"\n")
            if self._is_common(lines) and len(data) <= replies.MAX_LINE:
                return self._take_turn(lines[0])
        return super().feed(data)

    def _is_common(self, lines: list[bytes]) -> bool:
        """Every reply of the turn came, each in one line, all are good, and nothing came after."""
        return (
            len(lines) == self._replies_of_turn + 1
            and not lines[-1]
            and lines[0].startswith(_OK)
            and lines[1].startswith(_OK)
            and lines[2].startswith(_OK)
            and (self._replies_of_turn == 3 or lines[3].startswith(_GO_ON))
        )

    def _take_turn(self, final: bytes) -> bytes:
        reply = replies.single_line(final)
        assert reply is not None, "it starts with a code and a blank"
        self._settle(self._finishing, Accepted(reply, self._clock()))
        self.carried += 1
        self._answered = 0
        self._mute = False
        self._expected.clear()
        return self._message()
