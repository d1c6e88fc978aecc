"""What Jetpost does in a second, and what a mail costs.

    python -m benchmarks [PART] [options] [--json FILE]

Every result carries the machine, the versions, and a calibration: fixed work that tells how fast the machine is.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import catalogue
from benchmarks.frame import calibration, document, isolation
from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part


def main() -> None:
    given = sys.argv[1:]
    if not given or (given[0].startswith("-") and given[0] not in {"-h", "--help"}):
        given = [catalogue.USUAL.name, *given]
    arguments = _parser().parse_args(given)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends us, what we started ends too
    sys.exit(1 if _measure(arguments.part, arguments, isolation.console()) else 0)


def _measure(part: Part, arguments: argparse.Namespace, console: Console) -> bool:
    """Whether a promise was broken."""
    calibrated = part.calibrated and not arguments.no_calibration
    rates = apart(calibration.calibrate) if calibrated else {}
    result = part.run(arguments, console)
    part.show(result, console)
    if rates:
        calibration.show(rates, console, result.get("mails_per_second"))
    if arguments.json:
        document.write(arguments.json, part.name, result, rates)
    return part.failed(result)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(metavar="PART", required=True)
    for part in catalogue.PARTS:
        mine = parts.add_parser(part.name, help=part.what, description=part.what)
        part.add_options(mine)
        mine.add_argument("--json", type=Path, help="write the result to this file")
        if part.calibrated:
            mine.add_argument("--no-calibration", action="store_true", help="save its few seconds")
        mine.set_defaults(part=part)
    return parser


if __name__ == "__main__":
    main()
