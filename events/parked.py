"""Callbacks that nobody understood: what lies there, and putting them back to be read again, by a release that may know more.

    callbacks.parked.… ──put_back──▶ callbacks.new.…, with the place of the original ──heard──▶ the original is deleted

The original stays until what came of its copy is stored: facts, or the copy parked anew. So nothing is lost, whoever dies. What a
callback tells has ids of its own, so reading it twice states nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import msgspec

from events import callbacks, streams, subjects
from events.bus import Bus, Message
from events.callbacks import Callback

_TOGETHER: Final = 50
"""A callback has up to half a megabyte, and what is published together is held in memory."""


class Parked(NamedTuple):
    """A callback and where it lies in CALLBACKS."""

    sequence: int
    callback: Callback


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them somebody asks for; what is None matches all. Times are Unix seconds."""

    sequences: frozenset[int] | None = None
    esp: str | None = None
    endpoint: str | None = None
    since: float | None = None
    """Of when it came."""
    until: float | None = None

    @property
    def subject(self) -> str:
        """What narrows the reading down on the server."""
        return subjects.parked_callback(self.esp or "*", self.endpoint or "*")

    def matches(self, parked: Parked) -> bool:
        at = parked.callback.received_at
        return (
            (self.sequences is None or parked.sequence in self.sequences)
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
        )


async def matching(bus: Bus, wanted: Wanted) -> AsyncIterator[Parked]:
    """Those that somebody asks for, in the order in which they were parked. Raises `RetryLater`."""
    first = min(wanted.sequences, default=1) if wanted.sequences is not None else 1
    async for record in bus.read(streams.CALLBACKS.name, wanted.subject, from_sequence=first):
        found = Parked(record.sequence, callbacks.decode(record.payload))
        if wanted.matches(found):
            yield found


async def put_back(bus: Bus, found: Sequence[Parked]) -> int:
    """Lets them be read again; returns how many were not under way already. Raises `RetryLater`: then call it again."""
    stored = 0
    for start in range(0, len(found), _TOGETHER):
        messages = [_again(one) for one in found[start : start + _TOGETHER]]
        stored += sum(not one.duplicate for one in await bus.publish(streams.CALLBACKS.name, messages))
    return stored


def _again(parked: Parked) -> Message:
    return callbacks.message_of(_as_copy(parked), f"{streams.CALLBACKS.name}-{parked.sequence}/again")


def _as_copy(parked: Parked) -> Callback:
    return msgspec.structs.replace(parked.callback, reason="", replays=parked.sequence)


async def originals(bus: Bus, copies: Sequence[Callback]) -> list[int]:
    """Where what these were put back from still lies; what does not was dealt with before. Raises `RetryLater`.

    Only where the same callback lies there: who can write callbacks can write any number into one.
    """
    sought = {copy.replays: copy for copy in copies if copy.replays}
    if not sought:
        return []
    found: list[int] = []
    async for record in bus.read(streams.CALLBACKS.name, subjects.CALLBACKS_PARKED, from_sequence=min(sought)):
        copy = sought.get(record.sequence)
        if copy is not None and _as_copy(Parked(record.sequence, callbacks.decode(record.payload))) == copy:
            found.append(record.sequence)
        if record.sequence >= max(sought):
            break
    return found
