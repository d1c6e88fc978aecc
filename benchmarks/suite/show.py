"""The result of the usual set, for people."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.frame.figures import Change, Figure, worse

QUIET_CORES: Final = 0.25
"""With more than that busy with something else, a campaign was measured to cost 15 to 45 % more CPU per mail."""
_COLOURS: Final = {"better": "green", "worse": "bold red", "same": "dim", "new": "dim", "gone": "dim"}


def show(result: dict[str, Any], console: Console) -> None:
    """Every figure beside the stored one, and the regressions by name."""
    figures = msgspec.convert(result["figures"], dict[str, Figure])
    changes = msgspec.convert(result["changes"], list[Change])
    console.print()
    console.print(_table(figures, {change.name: change for change in changes}))
    if not changes:
        console.print("there is no stored result to compare with; `make bench ARGS=--save` stores this one")
    elif not result["same_machine"]:
        console.print("the stored result is another machine's: only changes relative to the calibration say something")
    if result["cores_of_others"] > QUIET_CORES:
        console.print(
            f"[bold]up to {result['cores_of_others']:.1f} cores were busy with something else[/]: that alone makes rates and CPU"
            " per mail worse; measure again when nothing else runs"
        )
    for change in worse(changes):
        console.print(
            f"[bold red]worse beyond noise[/]: {change.name}, {change.change:+.1%} relative to the calibration"
            f" (noise {change.noise:.1%})"
        )
    verdict = "[bold green]balanced ✓[/]" if result["balanced"] else "[bold red]NOT balanced ✗[/]"
    console.print(
        f"[bold]{result['mails_per_second']:,.0f} mails/s[/] end to end,"
        f" {figures['pipelined ÷ sendmail'].median:.1f} times the rate with aiosmtplib's sendmail,"
        f" {figures['pipelined ÷ one at a time'].median:.1f} times that of one mail at a time; {verdict}"
    )


def _table(figures: dict[str, Figure], changes: dict[str, Change]) -> Table:
    table = Table("median of all runs", "now", "", "stored", "relative change", "noise", box=None, header_style="bold")
    for column in (1, 3, 4, 5):
        table.columns[column].justify = "right"
    for name, figure in figures.items():
        change = changes.get(name)
        table.add_row(name, _number(figure.median), figure.unit, *_compared(change, figure))
    return table


def _compared(change: Change | None, figure: Figure) -> tuple[str, str, str]:
    if change is None or change.before is None:
        return "", "", f"{figure.noise:.1%}"
    colour = _COLOURS[change.verdict]
    return _number(change.before), f"[{colour}]{change.change:+.1%}[/]", f"{change.noise:.1%}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
