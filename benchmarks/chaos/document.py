"""Puts the table of stored runs into docs/reliability.md.

python -m benchmarks.chaos.document benchmarks/results/chaos.json
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.chaos import results
from benchmarks.chaos.results import Run

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- begin: python -m benchmarks.chaos.document -->\n"
END: Final = "<!-- end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="what `python -m benchmarks.chaos --json` wrote")
    page = PAGE.read_text("utf-8")
    PAGE.write_text(filled(page, results.read(parser.parse_args().runs)), "utf-8")


def filled(page: str, runs: Sequence[Run]) -> str:
    """The page with the table of these runs between its markers."""
    found = re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", page, re.DOTALL)
    assert found is not None, f"{PAGE} has lost its markers"
    return page[: found.start()] + BEGIN + table(runs) + END + page[found.end() :]


def table(runs: Sequence[Run]) -> str:
    """In Markdown, with what the runs have in common below."""
    lines = [_line(["fault", *results.HEADINGS]), _line(["---", *["---:"] * len(results.HEADINGS)])]
    lines += [_line([row.what, *results.cells(row)]) for row in results.rows(runs)]
    broken = sum(bool(run.broken) for run in runs)
    mails = sorted({run.mails for run in runs})
    waits = sorted({run.ack_wait_seconds for run in runs})
    lines += [
        "",
        f"{len(runs):,} runs of {_span(mails)} mails, ack-wait {_span(waits)} s; {broken or 'none'} broke a promise.",
        f"Versions: {'; '.join(sorted({_versions(run) for run in runs}))}.",
    ]
    return "\n".join(lines) + "\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _span(values: Sequence[float]) -> str:
    return " to ".join(f"{value:,g}" for value in dict.fromkeys((values[0], values[-1])))


def _versions(run: Run) -> str:
    return ", ".join(f"{name} {number}" for name, number in run.versions.items())


if __name__ == "__main__":
    main()
