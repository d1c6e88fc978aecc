"""Backups of what NATS holds, as files in a folder: one for each stream, and `manifest.json`, which is written last.

ClickHouse is not in them: it is filled again from EVENTS. What is older than EVENTS keeps needs a backup of ClickHouse's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from events.errors import StreamMissing
from events.nats_archive import CHUNK_BYTES, Archived
from events.nats_bus import NatsBus
from events.streams import BATCHES, CLAIMS, MAIL
from jetpost.errors import Fault
from jetpost.version import VERSION

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
QUIET_SECONDS: Final = 3.0
"""For so long nothing must have moved."""
SETTLES_WITHIN_SECONDS: Final = 90.0

Told = Callable[[Archived], None]
"""Called for each stream that is done."""


class StreamFile(msgspec.Struct, frozen=True):
    archived: Archived
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What lies in the folder."""

    format: int
    version: str
    """Of Jetpost."""
    taken_at: float
    """Unix seconds."""
    streams: list[StreamFile]


async def settle(bus: NatsBus) -> None:
    """Returns when no batch is cut, no mail queued and none claimed any more. All campaigns must be paused.

    Senders may hold mails that they have not claimed: nothing was tried of these. A mail that is on the wire for longer will
    be in doubt where the backup is put back. Raises `Fault` where something goes on.
    """
    try:
        async with asyncio.timeout(SETTLES_WITHIN_SECONDS):
            before: list[int] = []
            while before != (now := await _newest(bus)):
                before = now
                await asyncio.sleep(QUIET_SECONDS)
    except TimeoutError:
        raise Fault(
            f"mails are queued or sent although all campaigns were paused {SETTLES_WITHIN_SECONDS:.0f} seconds ago; does"
            " somebody resume them, or send others?"
        ) from None


async def _newest(bus: NatsBus) -> list[int]:
    return [(await bus.stream_state(stream.name)).last_sequence for stream in (BATCHES, MAIL, CLAIMS)]


async def take(bus: NatsBus, folder: Path, now: float, told: Told) -> Manifest:
    """Write everything to a folder, which must be new or empty. Raises `Fault`, `BusError`, `OSError`."""
    _make_empty(folder)
    streams = []
    for name in bus.stream_names():
        streams.append(await _take(bus, name, folder))
        told(streams[-1].archived)
    manifest = Manifest(FORMAT, VERSION, now, streams)
    _write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Fault(f"{folder} is not empty: give each backup a folder of its own")


async def _take(bus: NatsBus, name: str, folder: Path) -> StreamFile:
    digest = hashlib.sha256()
    with _file_of(folder, name).open("wb") as file:

        def write(chunk: bytes) -> None:
            file.write(chunk)
            digest.update(chunk)

        archived = await bus.archive(name, write)
        file.flush()
        os.fsync(file.fileno())
        return StreamFile(archived, file.tell(), digest.hexdigest())


def read(folder: Path) -> Manifest:
    """What a folder has, after looking whether it is whole. Raises `Fault`."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise Fault(f"{folder} has no {MANIFEST}: it is no backup, or one that was not finished") from None
    except msgspec.DecodeError as error:
        raise Fault(f"{folder / MANIFEST} cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise Fault(f"{folder} has format {manifest.format}; this release reads {FORMAT}")
    for one in manifest.streams:
        if _digest(_file_of(folder, one.archived.name)) != one.sha256:
            raise Fault(f"{_file_of(folder, one.archived.name)} is not what was written: the backup is damaged")
    return manifest


async def require_empty(bus: NatsBus, manifest: Manifest) -> None:
    """Raises `Fault` where NATS has any of a backup's streams."""
    there = []
    for one in manifest.streams:
        with contextlib.suppress(StreamMissing):
            await bus.stream_state(one.archived.name)
            there.append(one.archived.name)
    if there:
        raise Fault(f"NATS has streams already ({', '.join(there)}): a backup is put back into an empty NATS only")


async def put_back(bus: NatsBus, folder: Path, streams: Iterable[StreamFile], told: Told) -> None:
    """Make streams from a folder, in this order. Raises `BusError`."""
    for one in streams:
        await bus.restore(one.archived, _chunks(_file_of(folder, one.archived.name)))
        told(one.archived)


def _file_of(folder: Path, stream: str) -> Path:
    return folder / f"{stream}.stream"


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            yield chunk


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _write_whole(file: Path, content: bytes) -> None:
    unfinished = file.with_suffix(".unfinished")
    with unfinished.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.rename(file)
