"""How a reconciliation looks in a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from events.ledger import Ledger
from jetpost.comparison import KINDS
from jetpost.display import COLOURS, plain
from jetpost.reconcile import Reconciliation


def shown(found: Reconciliation) -> Group:
    """For people: the ledgers side by side, then every way of differing, with its number."""
    problems = [f"[red]✘ {plain(problem)}[/]" for problem in found.problems]
    examples = [
        f"  {KINDS[one.kind]}: [bold]{plain(one.mail_id)}[/]  {plain(one.events or '–')}  /  {plain(one.clickhouse or '–')}"
        for one in found.examples
    ]
    return Group(
        f"[bold]{found.campaign}[/] is {found.status}. All is as of event {found.until_sequence:,}.",
        "",
        _ledgers(found),
        "",
        _recipients(found),
        *(["", "[bold]EVENTS  /  ClickHouse[/]", *examples] if examples else []),
        "",
        *problems,
        _verdict(found),
    )


def _ledgers(found: Reconciliation) -> Table:
    table = Table("", "EVENTS", "ClickHouse", "its rollups", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in ("planned", *COLOURS):
        values = [_count(side, name) for side in (found.events, found.clickhouse, found.rollups)]
        if name == "planned" or set(values) - {"0", "–"}:
            table.add_row(name.replace("_", " "), *values)
    return table


def _count(ledger: Ledger | None, name: str) -> str:
    return "–" if ledger is None else f"{getattr(ledger, name):,}"


def _recipients(found: Reconciliation) -> Table:
    planned = "gone" if found.planned is None else f"{found.planned:,}"
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("recipients on the plan's lists", planned)
    table.add_row("recipients that EVENTS tells of", f"{found.stated:,}")
    table.add_row("recipients that ClickHouse tells of", f"{found.counted:,}")
    for kind, number in found.differences.items():
        table.add_row(KINDS[kind], f"[{'red' if number else 'green'}]{number:,}[/]")
    return table


def _verdict(found: Reconciliation) -> str:
    if not found.agree:
        return "[red]✘ They do not agree.[/]"
    if found.planned is None:
        return "[green]✔ EVENTS and ClickHouse agree, recipient by recipient.[/] The plan's lists are gone."
    moving = f" {found.events.queued:,} are queued." if found.events.queued else ""
    return f"[green]✔ EVENTS, ClickHouse and the plan agree, recipient by recipient.[/]{moving}"
