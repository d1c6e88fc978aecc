"""What runs on this machine: `jetpost up` writes it down, other commands find it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

FILE_NAME: Final = "run.json"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that `jetpost up` or `jetpost demo` runs."""

    pid: int
    version: str
    started_at: float
    nats_url: str
    web_url: str
    metrics: dict[str, str]
    """Address of `/metrics` by process."""


def write(data_dir: Path, running: Running) -> None:
    """Replace the note as a whole: a reader never sees half of it."""
    draft = data_dir / f"{FILE_NAME}.new"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(running)))
    draft.replace(data_dir / FILE_NAME)


def remove(data_dir: Path) -> None:
    (data_dir / FILE_NAME).unlink(missing_ok=True)


def find(data_dir: Path) -> Running | None:
    """The stack of a data directory, if it still runs."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        running = msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=Running)
        if _alive(running.pid):
            return running
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
