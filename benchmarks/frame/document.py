"""Result files: what a part measured, on which machine, with which versions, and how fast the machine was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from benchmarks.frame import machine


def write(file: Path, part: str, result: dict[str, Any], calibration: dict[str, float]) -> None:
    """The part's own figures lie on top, so that `mails_per_second` is where one looks for it."""
    about = {"machine": machine.describe(), "versions": machine.versions()}
    whole = {"part": part, "calibration": calibration, **result, **about}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")
