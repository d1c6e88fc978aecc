"""Reads bounce mail from a Maildir: what is in `new` is taken and moved to `cur`, marked as seen (https://cr.yp.to/proto/maildir.html)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from events.errors import BusError
from events.patience import sleep

Take = Callable[[list[str], bytes], Awaitable[object]]

_log = logging.getLogger(__name__)


async def run(folder: Path, every_seconds: float, max_bytes: int, take: Take, stop: asyncio.Event) -> None:
    """Look until `stop` is set. Raises `OSError` where the folder is no Maildir."""
    await asyncio.to_thread((folder / "cur").mkdir, exist_ok=True)
    while True:
        for file in await asyncio.to_thread(_new, folder):
            if stop.is_set():
                return
            try:
                await take_one(file, folder, max_bytes, take)
            except BusError as error:
                _log.warning("mail stays in %s for now: %s", folder / "new", error)
                break
        if await sleep(every_seconds, stop):
            return


def _new(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(file for file in (folder / "new").iterdir() if not file.name.startswith("."))


async def take_one(file: Path, folder: Path, max_bytes: int, take: Take) -> None:
    """A mail that somebody else took away meanwhile is theirs. Raises `BusError`: then it stays."""
    try:
        raw = await asyncio.to_thread(_read, file, max_bytes)
        await take([], raw)
        await asyncio.to_thread(file.rename, folder / "cur" / f"{file.name.partition(':')[0]}:2,S")
    except FileNotFoundError:
        _log.info("%s is gone", file)


def _read(file: Path, max_bytes: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(max_bytes)
