"""Result files: what a part measured, on which machine, with which versions, and how fast the machine was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from benchmarks.frame import machine


def write(file: Path, part: str, result: dict[str, Any], calibration: dict[str, float]) -> None:
    """The part's own figures lie on top, so that `mails_per_second` is where one looks for it."""
    about = {"relative": relative(result, calibration), "machine": machine.describe(), "versions": machine.versions()}
    whole = {"part": part, "calibration": calibration, **result, **about}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")


def relative(result: dict[str, Any], calibration: dict[str, float]) -> dict[str, float]:
    """Mails a second as multiples of what the calibration measured: figures from different machines compare."""
    rate = result.get("mails_per_second")
    if rate is None:
        return {}
    known = {"to_smtp_source": "smtp_mails_per_second", "to_thousand_python_loops": "python_loops_per_second"}
    scale = {"to_thousand_python_loops": 1_000}
    return {
        name: round(rate / calibration[key] * scale.get(name, 1), 4)
        for name, key in known.items()
        if key in calibration
    }
