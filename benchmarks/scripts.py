"""Measurements of single parts that are scripts of their own: `python -m benchmarks smtp 48000` runs `benchmarks/smtp.py 48000`.

Their options are in their own help: `python -m benchmarks audience -- --help`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from typing import Any, Final

from rich.console import Console

from benchmarks.frame.part import Part

_SCRIPTS: Final = {
    "audience": "reading, checking and cutting an audience: rows a second, memory",
    "bus": "publishing, claiming, fetching over NATS: CPU of client and server per message",
    "durability": "what each setting of syncing to disk costs",
    "guarantees": "what the claims cost: with and without them, in turn",
    "ingest": "events into ClickHouse, and the questions of the dashboard",
    "render": "every stage of a producer",
    "sending": "a sender without SMTP",
    "smtp": "both sides of SMTP, against other clients and servers",
}


def parts() -> tuple[Part, ...]:
    return tuple(
        Part(name=name, what=what, add_options=_add_options, run=partial(_run, name), show=_show)
        for name, what in _SCRIPTS.items()
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs="*", help="for the script; behind `--` where they begin with a dash")


def _run(name: str, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Its lines are shown as they come, and are its result."""
    command = (sys.executable, "-u", "-m", f"benchmarks.{name}", *arguments.arguments)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as script:
        assert script.stdout is not None
        for line in script.stdout:
            console.print(line, end="", markup=False)
            lines.append(line.rstrip("\n"))
    if script.returncode:
        raise SystemExit(script.returncode)
    return {"arguments": arguments.arguments, "lines": lines}


def _show(result: dict[str, Any], console: Console) -> None:
    """It has been shown already."""
