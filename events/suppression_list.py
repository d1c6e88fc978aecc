"""The suppression list as producers and senders hold it: read to its end before anything is sent, then followed.

    known = SuppressionList(bus, hashing, time.time)
    await known.catch_up()                    # whoever was on the list by now is known
    following = asyncio.create_task(known.follow(patience))
    await known.current()                     # waits while the stream cannot be followed
    known.among("news", addresses)            # {address: reason} of those who get no mail

Where nobody is on a list, asking costs next to nothing.

The stream has no gaps. So one in what is read means that the list was compacted meanwhile (`suppression_book`), and what it
hides may have been a removal: then everything is read from the beginning, and what was known stays in force until that is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from events import streams, subjects, suppression
from events.bus import Bus, Record
from events.errors import BusError
from events.suppression import KEY_BYTES, REASONS, Entry, ForeignHashes, Hashing, Reason, Rows
from events.suppression_table import Table

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
"""Entries taken in before the event loop gets a turn: a millisecond of work."""

_NOBODY: Final[Mapping[str, Reason]] = {}

_NEVER: Final = 1 << 32
_REASON_BITS: Final = 8


def held(reason: str, expires_at: int) -> int:
    """What a table keeps of an entry: the larger number holds longer, or is the graver reason. `expires_at` 0: never."""
    return (expires_at or _NEVER) << _REASON_BITS | REASONS.index(suppression.reason_of(reason)) + 1


def reason_in(number: int) -> Reason:
    return REASONS[(number & (1 << _REASON_BITS) - 1) - 1]


def is_expired(number: int, now: float) -> bool:
    expires_at = number >> _REASON_BITS
    return expires_at <= now and expires_at != _NEVER


class Patience(Protocol):
    """How the follower waits (`events.patience.Patience`)."""

    async def wait(self, error: BaseException) -> None: ...

    def succeeded(self) -> None: ...


class Compacted(Exception):
    """What was not read yet was compacted away: read from the beginning."""


class Known:
    """What the stream said up to a place in it."""

    def __init__(self) -> None:
        self.at = 0
        self.first = 0
        """Where the stream began when it was read."""
        self.tables: dict[str, Table] = {}
        """By list, "" for all campaigns; only those on which somebody is."""
        self.removed: dict[tuple[str, bytes], int] = {}
        """The place of the last removal, as far as the stream still tells of it."""

    def take_in(self, rows: Rows, keys: bytes | memoryview, numbers: Sequence[int], sequence: int) -> None:
        if rows.action != "add":
            self._remove(rows.list, keys, sequence)
        if rows.action != "remove" and not self.is_outdated(rows):
            if rows.as_of and self.removed:
                keys, numbers = self._not_removed_since(rows, keys, numbers)
            self.tables.setdefault(rows.list, Table()).raise_to(keys, numbers)

    def is_outdated(self, rows: Rows) -> bool:
        """It says again what held up to a place that the stream no longer reaches back to: another compaction said more."""
        return 0 < rows.as_of < self.first - 1

    def _remove(self, list_: str, keys: bytes | memoryview, sequence: int) -> None:
        table = self.tables.get(list_)
        for key in each_key(keys):
            self.removed[list_, key] = sequence
            if table is not None:
                table.set(key, 0)
        if table is not None and not table.count:
            del self.tables[list_]

    def _not_removed_since(
        self, rows: Rows, keys: bytes | memoryview, numbers: Sequence[int]
    ) -> tuple[bytes, list[int]]:
        kept = [
            (key, number)
            for key, number in zip(each_key(keys), numbers, strict=True)
            if self.removed.get((rows.list, key), 0) <= rows.as_of
        ]
        return b"".join(key for key, _ in kept), [number for _, number in kept]


def each_key(keys: bytes | memoryview) -> Iterator[bytes]:
    return (bytes(keys[start : start + KEY_BYTES]) for start in range(0, len(keys), KEY_BYTES))


def keys_of(rows: Rows, hashing: Hashing) -> bytes:
    """The keys by which `hashing` knows those in a message. Raises `ForeignHashes` where nobody can tell them."""
    if rows.scheme == hashing.scheme:
        return rows.keys
    addresses = [] if rows.scheme else rows.each_address()
    if not all(addresses) or not addresses:
        raise ForeignHashes(
            "The suppression list holds hashes made with another secret, so nobody can tell whom they mean and nothing is "
            "sent: set suppression.hash_secret to the one that they were made with"
        )
    return b"".join(map(hashing.key, addresses))


def numbers_of(rows: Rows) -> list[int]:
    """`held` for each entry in a message that adds."""
    return [held(rows.reason, expiry) for expiry in rows.each_expiry()]


async def require_no_gap(bus: Bus, known: Known, record: Record) -> None:
    """Raises `Compacted` where what lay between `known` and the record was taken out of the stream unread."""
    if known.at and record.sequence != known.at + 1:
        state = await bus.stream_state(streams.SUPPRESSION.name)
        if state.first_sequence > known.at + 1:
            raise Compacted


class SuppressionList:
    """Who gets no mail."""

    def __init__(
        self,
        bus: Bus,
        hashing: Hashing,
        clock: Callable[[], float],
        on_change: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`on_change` is told how many entries there are, whenever that changes."""
        self.hashing = hashing
        self._on_change = on_change
        self.known = Known()
        self._bus = bus
        self._clock = clock
        self._is_current = asyncio.Event()
        self._since_break = 0

    @property
    def count(self) -> int:
        """Entries, expired ones included."""
        return sum(table.count for table in self.known.tables.values())

    def among(self, list_: str, addresses: Iterable[str]) -> Mapping[str, Reason]:
        """Those of the normalised addresses that get no mail of campaigns with this list, and why: 1 µs each."""
        tables = self.known.tables
        if not tables:
            return _NOBODY
        asked = [tables[name] for name in dict.fromkeys(("", list_)) if name in tables]
        return self._among(asked, addresses) if asked else _NOBODY

    def _among(self, tables: Sequence[Table], addresses: Iterable[str]) -> Mapping[str, Reason]:
        found: dict[str, Reason] = {}
        key, now = self.hashing.key, self._clock()
        get, others = tables[0].get, [table.get for table in tables[1:]]
        for address in addresses:
            hashed = key(address)
            number = get(hashed)
            if number and not is_expired(number, now):
                found[address] = reason_in(number)
            elif others:
                for ask in others:
                    number = ask(hashed)
                    if number and not is_expired(number, now):
                        found[address] = reason_in(number)
        return found

    def learn(self, entry: Entry) -> bool:
        """Take in an entry that is about to be stored; whether it changes anything."""
        table = self.known.tables.setdefault(entry.list, Table())
        key, number = entry.key or self.hashing.key(entry.address), held(entry.reason, int(entry.expires_at or 0))
        if table.get(key) >= number:
            return False
        table.set(key, number)
        return True

    async def catch_up(self) -> None:
        """Read to the end as it is now. Raises `RetryLater`, and `ForeignHashes` where the list cannot be understood."""
        try:
            await self._read(self.known)
        except Compacted:
            await self._read_anew()
        self._is_current.set()

    async def follow(self, patience: Patience) -> None:
        """Keep up with the stream, until cancelled."""
        while True:
            try:
                await self.catch_up()
                patience.succeeded()
                await self._read(self.known, follow=True)
            except Compacted:
                continue
            except BusError as error:
                self._is_current.clear()
                await patience.wait(error)

    async def current(self) -> None:
        """Returns at once while the stream is followed, else as soon as it has been read to its end again."""
        if not self._is_current.is_set():
            await self._is_current.wait()

    async def _read_anew(self) -> None:
        while True:
            fresh = Known()
            try:
                await self._read(fresh)
            except Compacted:
                continue
            self.known = fresh
            return

    async def _read(self, known: Known, *, follow: bool = False) -> None:
        state = await self._bus.stream_state(streams.SUPPRESSION.name)
        if known.at and state.first_sequence > known.at + 1:
            raise Compacted
        reading = self._bus.read(
            streams.SUPPRESSION.name, subjects.SUPPRESSION, from_sequence=known.at + 1, follow=follow
        )
        async for record in reading:
            await require_no_gap(self._bus, known, record)
            await self._take_in(known, record)
            if follow:
                self._on_change(self.count)
        self._on_change(self.count)

    async def _take_in(self, known: Known, record: Record) -> None:
        known.first = known.first or record.sequence
        rows = rows_in(record)
        if rows is not None:
            keys = memoryview(keys_of(rows, self.hashing))
            numbers = numbers_of(rows)
            for start in range(0, rows.count, _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                known.take_in(
                    rows, keys[start * KEY_BYTES : (start + _AT_ONCE) * KEY_BYTES], numbers[part], record.sequence
                )
                await self._break(min(_AT_ONCE, rows.count - start))
        known.at = record.sequence

    async def _break(self, entries: int) -> None:
        self._since_break += entries
        if self._since_break >= _AT_ONCE:
            self._since_break = 0
            await asyncio.sleep(0)


def rows_in(record: Record) -> Rows | None:
    """None, and a line in the log, for what cannot be read."""
    try:
        return suppression.decode(record.payload)
    except msgspec.DecodeError:
        _log.exception("message %d of the suppression list cannot be read and is left out", record.sequence)
        return None
