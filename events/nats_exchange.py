"""What was sent together over a connection to NATS, and the answers to it."""

from __future__ import annotations

import asyncio

from events.errors import BusError

Answer = tuple[bytes, bytes]
"""Payload and raw headers."""


class Exchange:
    """Answers to frames that were sent together."""

    def __init__(self, answers: int) -> None:
        self._answers: list[Answer | None] = [None] * answers
        self._missing = answers
        self.sent = b""
        self.answered: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()

    def holds(self, subject: str) -> bool:
        """Whether one of its frames was for this subject. Costs nothing before somebody asks."""
        return b"PUB %b " % subject.encode() in self.sent

    def put(self, number: int, answer: Answer) -> None:
        if self._answers[number] is None:
            self._answers[number] = answer
            self._missing -= 1
        if self._missing == 0 and not self.answered.done():
            self.answered.set_result([answer for answer in self._answers if answer is not None])

    def fail(self, error: BusError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # seen: whoever asked may have given up already
