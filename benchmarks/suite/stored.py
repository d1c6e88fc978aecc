"""The result that others are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.frame.figures import Figure

FILE: Final = Path(__file__).parents[1] / "results" / "bench.json"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """As much of it as comparing needs."""

    figures: dict[str, Figure]
    machine: dict[str, Any]
    versions: dict[str, str]


def read(file: Path) -> Stored | None:
    """None where there is none yet."""
    return msgspec.json.decode(file.read_bytes(), type=Stored) if file.exists() else None
