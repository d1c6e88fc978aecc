"""The secret that signs links, for a stack on one machine: made once, kept in its data directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

_FILE: Final = "link-secret"


def read(data_dir: Path) -> str:
    """The secret of a data directory; empty where it has none."""
    try:
        return (data_dir / _FILE).read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def ensure(data_dir: Path) -> str:
    """The secret of a data directory, made now where it has none; only its owner may read the file."""
    if known := read(data_dir):
        return known
    data_dir.mkdir(parents=True, exist_ok=True)
    made = secrets.token_urlsafe(32)
    descriptor = os.open(data_dir / _FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(made + "\n")
    return made
