"""What runs on this machine: `jetpost up` writes it down in its data directory, other commands find it.

Whoever runs a stack holds a lock as long as it lives, so that a note that a crash left behind deceives nobody: process ids
come again, after a restart of the machine and at every start of a container.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from jetpost.errors import AlreadyUp

_NOTE: Final = "run.json"
_LOCK: Final = "run.lock"
_LOCK_TRIES: Final = 10
_LOCK_AGAIN_SECONDS: Final = 0.05
"""Other commands hold the lock for a moment when they look whether someone has it."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that `jetpost up` or `jetpost demo` runs."""

    pid: int
    version: str
    started_at: float
    nats_url: str
    web_url: str
    metrics: dict[str, str]
    """Address of `/metrics` by process."""


@contextlib.contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """The data directory is ours alone inside; its note is removed at the end. Raises `AlreadyUp` where it is another's."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / _LOCK).open("ab") as lock:
        if not any(_locked(lock) for _ in range(_LOCK_TRIES)):
            raise AlreadyUp(_who_has(data_dir))
        try:
            yield
        finally:
            (data_dir / _NOTE).unlink(missing_ok=True)


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_LOCK_AGAIN_SECONDS)
        return False
    return True


def write(data_dir: Path, running: Running) -> None:
    """Replace the note as a whole, for its owner's eyes (an address may hold a password): nobody reads half of it."""
    draft = data_dir / f"{_NOTE}.new"
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(running)))
    draft.replace(data_dir / _NOTE)


def find(data_dir: Path) -> Running | None:
    """The stack of a data directory, if it still runs."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        if not _is_free(data_dir):
            return msgspec.json.decode((data_dir / _NOTE).read_bytes(), type=Running)
    return None


def _is_free(data_dir: Path) -> bool:
    with (data_dir / _LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _who_has(data_dir: Path) -> str:
    running = find(data_dir)
    who = f" (process {running.pid}, dashboard {running.web_url})" if running else ""
    return f"Jetpost is already up in {data_dir}{who}; stop it first, or set data_dir to another folder"
