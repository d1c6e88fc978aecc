"""A part of the benchmark: something that `python -m benchmarks NAME` measures."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from rich.console import Console


class Part(NamedTuple):
    name: str
    what: str
    """One line for people."""
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console], dict[str, Any]]
    """Measures; what it returns has only what JSON has. Keys once published stay."""
    show: Callable[[dict[str, Any], Console], None]
    """Prints the result for people."""
    failed: Callable[[dict[str, Any]], bool] = lambda _: False
    """Whether the result breaks a promise, rather than being slow: then the exit code is 1."""
    calibrated: bool = True
    """Whether the calibration runs before it; otherwise it does that itself, and `calibration` is part of its result."""
