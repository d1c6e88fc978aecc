"""How ledgers, rates and quantiles look in a terminal."""

from __future__ import annotations

from typing import Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from events.ledger import Ledger
from jetpost.logs import visible

COLOURS: Final = {
    "accepted": "green",
    "bounced": "red",
    "failed": "magenta",
    "suppressed": "cyan",
    "expired": "yellow",
    "cancelled": "bright_black",
    "in_doubt": "bright_yellow",
    "retrying": "blue",
    "queued": "white",
}
"""Every place where a recipient can be, in the order of the ledger."""

_NOT_YET: Final = "bright_black dim"
_MEANING: Final = {
    "accepted": "the next server took responsibility",
    "bounced": "the address will never work",
    "failed": "given up; in the dead-letter queue",
    "suppressed": "on the suppression list",
    "expired": "the deadline passed first",
    "cancelled": "the campaign was cancelled first",
    "in_doubt": "a connection or worker died before the answer",
    "retrying": "waiting for the next attempt",
    "queued": "not tried yet",
}


def plain(text: str) -> str:
    """Text of others, such as a reply or a campaign's name, for a line with markup: shown as it is, obeyed in nothing."""
    return escape(visible(text))


def places(ledger: Ledger) -> str:
    """Where recipients are, in one line with markup: `accepted 1,945  bounced 31`."""
    return "  ".join(
        f"[{colour}]{name.replace('_', ' ')} {getattr(ledger, name):,}[/]"
        for name, colour in COLOURS.items()
        if getattr(ledger, name)
    )


def ledger_table(ledger: Ledger) -> Table:
    """The ledger, so that a reader can add it up."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    table.add_column(style="dim")
    table.add_row("planned", f"{ledger.planned:,}", "", "")
    sign = "="
    for name, colour in COLOURS.items():
        count = int(getattr(ledger, name))
        if name in ("retrying", "queued") and not count:
            continue
        share = f"{count / ledger.planned:7.2%}" if ledger.planned else ""
        table.add_row(f"{sign} [{colour}]{name.replace('_', ' ')}[/]", f"{count:,}", share, _MEANING[name])
        sign = "+"
    return table


def ledger_bar(ledger: Ledger, width: int = 60) -> Text:
    """One bar, as long as `planned`, in the colours of `COLOURS`; what is there at all gets at least one cell."""
    counts = {name: getattr(ledger, name) for name in COLOURS if getattr(ledger, name) > 0}
    whole = max(ledger.planned, sum(counts.values()))
    spare = width - len(counts)
    cells = {name: 1 + spare * count // whole for name, count in counts.items()}
    if counts and sum(counts.values()) == whole:
        cells[max(counts, key=counts.__getitem__)] += width - sum(cells.values())  # what rounding left over
    bar = Text()
    for name, length in cells.items():
        bar.append("━" * length, style=COLOURS[name] if name != "queued" else _NOT_YET)
    return bar.append("━" * (width - len(bar)), style=_NOT_YET)


def duration(seconds: float) -> str:
    """`850 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """`950 B`, `1.2 MB`; powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    raise AssertionError
