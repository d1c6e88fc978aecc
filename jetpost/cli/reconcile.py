"""`jetpost reconcile`: EVENTS, ClickHouse and the plan, held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.live import Live

from jetpost.cli.state import bus, err, get_json, out, run

if TYPE_CHECKING:
    from jetpost.reconcile import Reconciliation


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("reconcile", rich_help_panel="Campaigns")(_reconcile)


def _reconcile(
    campaign: Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)],
    examples: Annotated[int, typer.Option("--list", min=0, help="List this many differences of each kind.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Prove a campaign's ledger: EVENTS, ClickHouse and the plan, each recounted and compared recipient by recipient.

    Works while the campaign runs, too. Exit code 1 where anything differs. Takes about half a minute per million recipients.
    """
    from jetpost import reconciled  # noqa: PLC0415 - it loads ClickHouse's client, which other commands do without

    found = run(_compare(campaign, examples))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        out.print(reconciled.shown(found))
    if not found.agree:
        raise typer.Exit(1)


async def _compare(campaign: str, examples: int) -> Reconciliation:
    from jetpost import reconcile  # noqa: PLC0415 - as above

    async with bus() as connected:
        with Live("", console=err, auto_refresh=False, transient=True) as live:
            return await reconcile.reconcile(
                connected,
                campaign,
                get_json,
                examples=examples,
                on_progress=lambda doing: live.update(f"[dim]{doing} …[/]", refresh=True),
            )
