"""What the demo shows while it runs: bars, rate and ETA, redrawn in place on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from events.ledger import Ledger
from jetpost.display import duration, ledger_bar, places

_LINE_EVERY_SECONDS: Final = 2.0
_NOTHING: Final = Ledger()


class ProgressView:
    """Shows the newest figures; use it as a context manager."""

    def __init__(self, console: Console, dashboard: str, recipients: int, clock: Callable[[], float]) -> None:
        self._console = console
        self._dashboard = dashboard
        self._recipients = recipients
        self._clock = clock
        self._started_at = clock()
        self._line_at = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, planned: int, figures: dict[str, Any] | None) -> None:
        """Recipients planned so far, and what the API counted (None before it has)."""
        ledger = msgspec.convert(figures["progress"]["ledger"], Ledger) if figures else _NOTHING
        rate = figures["progress"]["rate"] if figures else 0.0
        elapsed = self._clock() - self._started_at
        if self._live:
            self._live.update(self._frame(max(planned, ledger.planned), ledger, rate, elapsed), refresh=True)
        elif elapsed - self._line_at >= _LINE_EVERY_SECONDS:
            self._line_at = elapsed
            self._console.print(
                f"{elapsed:5.1f} s  planned {planned:,}  accepted {ledger.accepted:,}  retrying {ledger.retrying:,}"
                f"  settled {ledger.settled:,}  {rate:,.0f} mails/s"
            )

    def _frame(self, planned: int, ledger: Ledger, rate: float, elapsed: float) -> Group:
        bars = Table(box=None, show_header=False, padding=(0, 1))
        bars.add_column(style="dim")
        bars.add_column()
        bars.add_column(justify="right")
        bars.add_row("audience", _bar(planned, self._recipients), f"{planned:,} of {self._recipients:,} planned")
        whole = msgspec.structs.replace(ledger, planned=self._recipients)
        bars.add_row("mails", ledger_bar(whole, _WIDTH), f"{ledger.settled:,} settled")
        return Group(
            bars,
            f"  {places(ledger)}",
            f"  [bold]{rate:,.0f}[/] mails/s   {duration(elapsed)} so far{self._eta(ledger, rate)}",
            f"  dashboard: [link={self._dashboard}]{self._dashboard}[/link]",
        )

    def _eta(self, ledger: Ledger, rate: float) -> str:
        left = self._recipients - ledger.settled
        if not ledger.settled or not left or rate < 1:
            return ""
        return f"   about {duration(left / rate)} left" if left > ledger.retrying else "   waiting for retries"


_WIDTH: Final = 50


def _bar(done: int, whole: int) -> str:
    cells = round(_WIDTH * min(done, whole) / whole) if whole else 0
    return f"[cyan]{'━' * cells}[/][bright_black]{'━' * (_WIDTH - cells)}[/]"
