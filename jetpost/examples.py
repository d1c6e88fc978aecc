"""Where the examples lie: inside the package when installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PLACES: Final = (Path(__file__).parent / "examples", Path(__file__).parent.parent / "examples")


def folder(name: str) -> Path:
    """The folder of an example. Raises `FileNotFoundError`."""
    for place in _PLACES:
        if (place / name).is_dir():
            return place / name
    raise FileNotFoundError(f"the example {name} is not installed")
