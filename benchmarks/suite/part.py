"""The part `bench`, which `make bench` runs: end to end pipelined and one mail at a time, in turn, and every stage by itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from benchmarks.budget import part as budget
from benchmarks.e2e import part as e2e
from benchmarks.e2e.options import Options
from benchmarks.e2e.show import show as show_run
from benchmarks.frame import calibration, document, machine
from benchmarks.frame.figures import compare
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from benchmarks.suite import runs as suite
from benchmarks.suite import stored
from benchmarks.suite.runs import Run
from benchmarks.suite.show import show

RUNS = 3
MAILS = 200_000
PLAIN_MAILS = 40_000
"""One mail at a time takes a multiple of the time; its rate does not change with their number."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--mails", type=int, default=MAILS, help="in each campaign")
    parser.add_argument(
        "--plain-mails", type=int, default=PLAIN_MAILS, help="in each campaign that sends one at a time"
    )
    parser.add_argument("--save", action="store_true", help="replace the stored result")
    parser.add_argument("--stored", type=Path, default=stored.FILE, help="what to compare with")


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    by_stage = apart(budget.measure)
    budget.show(by_stage, console)
    runs = [_once(number, arguments, console) for number in range(1, arguments.runs + 1)]
    result = _summarised(runs, by_stage, stored.read(arguments.stored))
    if arguments.save and result["balanced"]:
        document.write(arguments.stored, PART.name, result, result["calibration"])
    return result


def _once(number: int, arguments: argparse.Namespace, console: Console) -> Run:
    console.print(f"\n[bold]run {number} of {arguments.runs}[/]")
    rates = apart(calibration.calibrate)
    calibration.show(rates, console)
    pipelined = apart(e2e.measure, Options(mails=arguments.mails))
    show_run(pipelined, console)
    console.print("[dim]  the same, one mail at a time through aiosmtplib[/]")
    plain = apart(e2e.measure, Options(mails=arguments.plain_mails, pipelining=False))
    console.print(f"one at a time: {plain['mails_per_second']:,.0f} mails/s")
    sendmail = apart(e2e.measure, Options(mails=arguments.plain_mails, sendmail=True))
    console.print(f"with aiosmtplib's sendmail: {sendmail['mails_per_second']:,.0f} mails/s")
    return Run(calibration=rates, pipelined=pipelined, plain=plain, sendmail=sendmail)


def _summarised(runs: list[Run], by_stage: dict[str, Any], before: stored.Stored | None) -> dict[str, Any]:
    figures = suite.figures(runs, by_stage)
    changes = compare(before.figures, figures) if before else []
    return {
        "mails_per_second": figures["mails a second"].median,
        "balanced": suite.balanced(runs),
        "figures": msgspec.to_builtins(figures),
        "changes": msgspec.to_builtins(changes),
        "cores_of_others": suite.cores_of_others(runs),
        "same_machine": before is None or before.machine == machine.describe(),
        "budget": by_stage,
        "runs": msgspec.to_builtins(runs),
        "calibration": suite.calibration(runs),
    }


PART = Part(
    name="bench",
    what="the usual set, compared with the stored result (without a PART)",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not result["balanced"],
    calibrated=False,
)
