"""The suppression list for people: what holds, what was said of somebody, and the stream made short again.

What holds is found in two readings: the first tells how it all ends, the second who said so. That needs some 40 bytes of memory
an entry, whatever was said.

Compacting says again, at the end of the stream, what holds up to a place in it, and then deletes everything up to that place.
Others write, read and compact meanwhile:

- What is said again is marked with that place (`Rows.as_of`): a removal that came after the place prevails over it.
- Whoever dies in between leaves the stream longer, and true.
- What a compaction says whose place lies before the beginning of the stream is passed over: another one has said it, up to a
  later place, and the removals between the two may be gone (`Known.is_outdated`).
- Whoever finds that something was deleted that they had not read, reads from the beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import NamedTuple, TypeAlias

from events import streams, subjects
from events.bus import Bus, Record
from events.errors import RetryLater
from events.suppression import KEY_BYTES, Entry, Hashing, Reason, Removal, Rows, Store
from events.suppression_list import (
    Compacted,
    Known,
    SuppressionList,
    each_key,
    held,
    is_expired,
    keys_of,
    numbers_of,
    reason_in,
    require_no_gap,
    rows_in,
)

Clock: TypeAlias = Callable[[], float]


class CompactedMeanwhile(RetryLater):
    """Somebody compacted the suppression list while it was read. Do it again."""


class Counts(NamedTuple):
    in_force: Counter[tuple[str, Reason]]
    """By list and reason."""
    expired: int
    """They hold no longer, and go when the list is compacted."""


class Shorter(NamedTuple):
    """What compacting did."""

    entries: int
    messages_before: int
    messages_now: int


async def count(bus: Bus, hashing: Hashing, clock: Clock) -> Counts:
    """Raises `RetryLater` and `ForeignHashes`, like all of these."""
    known = SuppressionList(bus, hashing, clock)
    await known.catch_up()
    counts: Counter[tuple[str, Reason]] = Counter()
    expired = 0
    for list_, table in known.known.tables.items():
        for number, times in Counter(table).items():
            if is_expired(number, clock()):
                expired += times
            else:
                counts[list_, reason_in(number)] += times
    return Counts(counts, expired)


async def standing(bus: Bus, hashing: Hashing, clock: Clock) -> AsyncGenerator[Entry, None]:
    """Every entry in force, once, in the order of the stream; without the address where hashes are kept in place of it."""
    known = SuppressionList(bus, hashing, clock)
    await known.catch_up()
    async for entry in _standing(bus, known, clock):
        yield entry


async def _standing(bus: Bus, end: SuppressionList, clock: Clock) -> AsyncIterator[Entry]:
    """Says each entry once: what was said is taken out of the tables."""
    tables, removed, hashing = end.known.tables, end.known.removed, end.hashing
    async for record, rows in _messages(bus, end.known.first, end.known.at):
        table = tables.get(rows.list)
        if rows.action == "remove" or table is None or end.known.is_outdated(rows):
            continue
        said_at = rows.as_of or record.sequence
        keys = list(each_key(keys_of(rows, hashing)))
        for key, number, entry in zip(keys, numbers_of(rows), rows.entries(), strict=True):
            stands = table.get(key) == number and removed.get((rows.list, key), 0) <= said_at
            if stands and not is_expired(number, clock()):
                table.set(key, 0)
                address = "" if hashing.conceals else entry.address
                yield entry._replace(address=address, key=key, replaces=False)


async def _messages(bus: Bus, first: int, last: int) -> AsyncIterator[tuple[Record, Rows]]:
    """Everything from the beginning of the stream, which was at `first`, to `last`. Raises `CompactedMeanwhile`."""
    read = Known()
    async for record in bus.read(streams.SUPPRESSION.name, subjects.SUPPRESSION):
        try:
            await require_no_gap(bus, read, record)
        except Compacted:
            raise CompactedMeanwhile(CompactedMeanwhile.__doc__) from None
        if record.sequence > last:
            return
        if not read.at and record.sequence != first:
            raise CompactedMeanwhile(CompactedMeanwhile.__doc__)
        read.at = record.sequence
        rows = rows_in(record)
        if rows is not None:
            yield record, rows


class Told(NamedTuple):
    """What the list says of one address."""

    said: list[Entry | Removal]
    """In the order of the stream."""
    in_force: list[Entry]
    """One for each list on which the address is."""


async def told_of(bus: Bus, hashing: Hashing, key: bytes, clock: Clock) -> Told:
    """Reads the whole list: a second for a million entries."""
    known, said = Known(), list[Entry | Removal]()
    async for record in bus.read(streams.SUPPRESSION.name, subjects.SUPPRESSION):
        known.first = known.first or record.sequence
        rows = rows_in(record)
        place = None if rows is None else _place_of(key, keys_of(rows, hashing))
        if rows is None or place is None or known.is_outdated(rows):
            continue
        adds = rows.action != "remove"
        known.take_in(rows, key, numbers_of(rows)[place : place + 1] if adds else (), record.sequence)
        said.append((rows.entries() if adds else rows.removals())[place])
    entries = [one for one in said if isinstance(one, Entry) and one.list in known.tables]
    holding = {one.list: one for one in reversed(entries) if _number(one) == known.tables[one.list].get(key)}
    return Told(said, [one for one in holding.values() if not is_expired(_number(one), clock())])


async def reasons_of(bus: Bus, hashing: Hashing, keys: Sequence[bytes], clock: Clock) -> list[dict[str, Reason]]:
    """For each key why it gets no mail, by list ("" is the one for all campaigns). Reads the whole list, as `told_of` does, and
    keeps nothing of others."""
    known = Known()
    async for record in bus.read(streams.SUPPRESSION.name, subjects.SUPPRESSION):
        known.first = known.first or record.sequence
        rows = rows_in(record)
        if rows is None or known.is_outdated(rows):
            continue
        theirs = keys_of(rows, hashing)
        places = {key: place for key in keys if (place := _place_of(key, theirs)) is not None}
        numbers = numbers_of(rows) if places and rows.action != "remove" else []
        for key, place in places.items():
            known.take_in(rows, key, numbers[place : place + 1], record.sequence)
    return [_in_force(known, key, clock()) for key in keys]


def _in_force(known: Known, key: bytes, now: float) -> dict[str, Reason]:
    numbers = {name: table.get(key) for name, table in known.tables.items()}
    return {name: reason_in(number) for name, number in numbers.items() if number and not is_expired(number, now)}


def _number(entry: Entry) -> int:
    return held(entry.reason, int(entry.expires_at or 0))


def _place_of(key: bytes, keys: bytes) -> int | None:
    at = keys.find(key)
    while at > 0 and at % KEY_BYTES:  # the end of one key and the beginning of the next may read like a third
        at = keys.find(key, at + 1)
    return at // KEY_BYTES if at >= 0 else None


async def compact(bus: Bus, hashing: Hashing, clock: Clock) -> Shorter:
    """Make the stream as short as what it says allows. Safe at any time, and harmless to repeat after a failure.

    Entries that were made without a secret are hashed where one is set now, and their addresses leave the stream.
    """
    end = SuppressionList(bus, hashing, clock)
    await end.catch_up()
    place, before = end.known.at, (await bus.stream_state(streams.SUPPRESSION.name)).messages
    store, entries = Store(bus, hashing, as_of=place), 0
    async for entry in _standing(bus, end, clock):
        await store.put(entry)
        entries += 1
    await store.finish()
    await bus.purge(streams.SUPPRESSION.name, ">", up_to=place)
    return Shorter(entries, before, (await bus.stream_state(streams.SUPPRESSION.name)).messages)
