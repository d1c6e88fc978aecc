"""The secret that signs links, for a stack on one machine: made once, kept in its data directory."""

from __future__ import annotations

import secrets
import tempfile
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
    with tempfile.NamedTemporaryFile("w", dir=data_dir, encoding="ascii", delete=False) as draft:  # 0600 from its start
        draft.write(made + "\n")
    Path(draft.name).replace(data_dir / _FILE)
    return made
