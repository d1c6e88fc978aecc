"""The part `calibrate`: nothing but how fast this machine is."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from benchmarks.frame.part import Part


def _add_options(parser: argparse.ArgumentParser) -> None:
    """None: every result carries the calibration, and so this part's result is nothing else."""


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    return {}


def _show(result: dict[str, Any], console: Console) -> None:
    """The calibration itself is printed with every result."""


PART = Part("calibrate", "fixed work that tells how fast this machine is", _add_options, _run, _show)
