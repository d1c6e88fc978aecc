"""Keeps the shared states: follows their changes, and applies our own by compare-and-set.

    reserved = await keeper.decide(key, lambda state: reserve(state, limits(state), 20, now))

Of many who change a state at once one is first, and the others decide anew on what it wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from events import streams
from events.bus import Bucket, Bus, Entry
from events.errors import RetryLater, RevisionMismatch
from sender.throttle import state as states
from sender.throttle.state import State

_log = logging.getLogger(__name__)
T = TypeVar("T")

Transition: TypeAlias = Callable[[State], State]

_TRIES: Final = 50
FOLLOW_SECONDS: Final = 0.05
"""Changes that come in so short a time are read together."""


class Kept(NamedTuple):
    state: State
    revision: int
    """0: there is no entry."""


_NOTHING: Final = Kept(states.EMPTY, 0)


class TooContended(RetryLater):
    """Others were faster each time. Ask again in a moment."""


class Keeper:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: dict[str, Kept] = {}
        self._bucket: Bucket | None = None

    def known(self, key: str) -> State:
        """The newest state that is known here; it may be a moment old."""
        return self._kept.get(key, _NOTHING).state

    async def change(self, key: str, transition: Transition) -> State:
        """Apply a transition to the newest state; returns what now holds. Raises `RetryLater`."""

        def both(state: State) -> tuple[State, State]:
            after = transition(state)
            return after, after

        return await self.decide(key, both)

    async def decide(self, key: str, decision: Callable[[State], tuple[State, T]]) -> T:
        """The answer to a decision that may change the state, once the state that it was made on has been changed so.

        It may be asked several times; only the last answer counts. Raises `RetryLater`.
        """
        bucket = await self._open()
        kept = self._kept.get(key)
        for _ in range(_TRIES):
            if kept is None:
                kept = await self._read(bucket, key)
            after, answer = decision(kept.state)
            if after == kept.state:
                return answer
            try:
                revision = await bucket.update(key, states.encode(after), kept.revision)
            except RevisionMismatch:
                kept = None
                continue
            self._keep(key, Kept(after, revision))
            return answer
        raise TooContended(f"{key} was changed by others each time")

    async def remove(self, key: str) -> None:
        """Forget it for good. Raises `RetryLater`."""
        await (await self._open()).delete(key)
        self._kept.pop(key, None)

    async def follow(self, changed: Callable[[str], None], synced: Callable[[], None] = lambda: None) -> None:
        """Know every state, and say so whenever one changed, and once all are known; until cancelled.

        Raises `BusError` where that breaks off.
        """
        bucket = await self._open()
        async for entry in bucket.watch():
            if entry is None:
                synced()
            elif entry.deleted:
                self._kept.pop(entry.key, None)
                changed(entry.key)
            elif self._keep(entry.key, _decode(entry)):
                changed(entry.key)

    def _keep(self, key: str, kept: Kept | None) -> bool:
        """Whether it is newer than what was known."""
        if kept is None or kept.revision <= self._kept.get(key, _NOTHING).revision:
            return False
        self._kept[key] = kept
        return True

    async def _read(self, bucket: Bucket, key: str) -> Kept:
        entry = await bucket.get(key)
        if entry is None or entry.deleted:
            self._kept.pop(key, None)
            return _NOTHING
        kept = _decode(entry) or Kept(states.EMPTY, entry.revision)
        self._keep(key, kept)
        return kept

    async def _open(self) -> Bucket:
        if self._bucket is None:
            self._bucket = await self._bus.bucket(streams.THROTTLE)
        return self._bucket


def _decode(entry: Entry) -> Kept | None:
    try:
        return Kept(states.decode(entry.value), entry.revision)
    except msgspec.DecodeError:
        _log.exception("the state of %s cannot be read; it begins anew", entry.key)
        return None
