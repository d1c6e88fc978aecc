"""What commands on many mails share: asking which, telling times and counts."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import typer
from rich.table import Table

from events import campaigns
from events.bus import Bus
from jetpost.cli.state import Fault
from jetpost.display import plain

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def moment(text: str | None, now: float) -> float | None:
    """Unix seconds of `2h` (two hours before `now`), `2026-03-01` or `2026-03-01T12:30`, in UTC unless it says otherwise."""
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return calendar_time(text)
    except ValueError:
        raise Fault(f"{text!r} is no time: say 30m, 2h or 7d ago, or 2026-03-01T12:30") from None


def calendar_time(text: str) -> float:
    """Unix seconds of `2026-03-01` or `2026-03-01T12:30`, in UTC unless it says otherwise. Raises `ValueError`."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def clock_time(at: float) -> str:
    """A moment for people, in the zone of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def counts(title: str, counted: Counter[tuple[Any, ...]], columns: Sequence[str]) -> Table:
    """How many of each kind, the most frequent first."""
    table = Table(title, *columns, box=None, header_style="bold")
    table.columns[0].justify = "right"
    for kind, number in counted.most_common():
        table.add_row(f"{number:,}", *(plain(str(part or "")) for part in kind))
    return table


def as_json(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()


def plural(number: int, noun: str = "mail") -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def be_sure(question: str, yes: bool) -> None:
    """Ask before something that cannot be taken back; ends the command on no."""
    if not yes:
        typer.confirm(question, abort=True)


async def campaigns_of(bus: Bus, campaign: str | None) -> list[str]:
    """The campaign, or all; raises `CampaignNotFound`."""
    if campaign is not None:
        return [(await campaigns.get(bus, campaign)).id]
    return [one.id for one in await campaigns.all_of(bus)]
