"""All parts of the benchmark. A new one: a module with a `PART`, and its name here."""

from __future__ import annotations

from typing import Final

from benchmarks.calibrate import PART as CALIBRATE
from benchmarks.e2e.part import PART as E2E
from benchmarks.frame.part import Part

PARTS: Final[tuple[Part, ...]] = (CALIBRATE, E2E)
