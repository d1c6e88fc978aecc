"""Puts the tables of a stored result into docs/performance.md.

python -m benchmarks.suite.document [benchmarks/results/bench.json]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.frame.figures import Figure
from benchmarks.suite import stored

PAGE: Final = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN: Final = "<!-- begin: python -m benchmarks.suite.document -->\n"
END: Final = "<!-- end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?", default=stored.FILE, help="what `python -m benchmarks` wrote")
    result = msgspec.json.decode(parser.parse_args().result.read_bytes())
    PAGE.write_text(filled(PAGE.read_text("utf-8"), result), "utf-8")


def filled(page: str, result: Mapping[str, Any]) -> str:
    """The page with the tables of this result between its markers."""
    found = re.search(f"{re.escape(BEGIN)}.*?{re.escape(END)}", page, re.DOTALL)
    assert found is not None, f"{PAGE} has lost its markers"
    return page[: found.start()] + BEGIN + tables(result) + END + page[found.end() :]


def tables(result: Mapping[str, Any]) -> str:
    """In Markdown: the figures, the stages, and what they were measured on."""
    figures = msgspec.convert(result["figures"], dict[str, Figure])
    runs = len(result["runs"])
    lines = [
        *_table(("what", f"median of {runs} runs", "lowest", "highest"), [_row(*item) for item in figures.items()]),
        "",
        *_table(("stage, by itself", "by", "µs CPU", "served by", "µs CPU"), _stages(result["budget"]["stages"])),
        "",
        f"{_campaign(result)} Calibration: {_calibration(result['calibration'])}.",
        f"Machine: {result['machine']['cores']} cores, {result['machine']['cpu']}; {_versions(result['versions'])}.",
    ]
    return "\n".join(lines) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---:" if any(map(_is_number, column)) else "---" for column in zip(*rows, strict=True)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]


def _is_number(text: str) -> bool:
    return text[:1].isdigit()


def _row(name: str, figure: Figure) -> tuple[str, ...]:
    return (name, *(_number(value, figure.unit) for value in (figure.median, min(figure.values), max(figure.values))))


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"


def _stages(stages: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            one["name"],
            one["by"],
            f"{one['own']:.1f}",
            one["served_by"] or "–",
            f"{one['served']:.1f}" if one["served_by"] else "–",
        )
        for one in stages
    ]


def _campaign(result: Mapping[str, Any]) -> str:
    campaigns = [run["pipelined"] for run in result["runs"]]
    mails = sorted({campaign["mails"] for campaign in campaigns})
    books = "all balanced" if result["balanced"] else "**not balanced**"
    return (
        f"Campaigns of {' and '.join(f'{count:,}' for count in mails)} mails of"
        f" {campaigns[0]['mail_bytes']:,.0f} bytes, {books}."
    )


def _calibration(rates: Mapping[str, float]) -> str:
    texts = [
        f"{rates['python_loops_per_second'] / 1e6:.2f} M loops of Python/s",
        f"memory {rates['memory_gb_per_second']:.1f} GB/s",
    ]
    if "smtp_mails_per_second" in rates:
        texts.append(f"smtp-source → smtp-sink {rates['smtp_mails_per_second']:,.0f} mails/s")
    return ", ".join(texts)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


if __name__ == "__main__":
    main()
