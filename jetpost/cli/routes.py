"""`jetpost route`: through which pools a campaign goes, while it runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import typer
from rich.table import Table

from events import campaigns, providers, routes
from events.schemas import Campaign
from jetpost.cli.state import Fault, bus, effective, out, run
from jetpost.display import plain


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("route", rich_help_panel="Campaigns")(_route)


def _route(
    campaign: Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)],
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROVIDER=POOL[,POOL…]]…", help="What to change; nothing: show it.", show_default=False
        ),
    ] = None,
) -> None:
    """Show or change through which pools a campaign's mails go, by mailbox provider. Senders follow within moments.

    The first pool is used; the next takes over while no connection to it can be made, or its day is used up. `all` stands for
    every provider.

    Examples:

    - `jetpost route spring-sale`
    - `jetpost route spring-sale gmail=main,backup other=cheap`
    - `jetpost route spring-sale all=backup`
    """
    run(_change(campaign, parse(changes or [], effective().settings.sender.pools)))


def parse(changes: Sequence[str], pools: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Routes as they are written on the command line. Raises `Fault`."""
    found: dict[str, tuple[str, ...]] = {}
    for change in changes:
        provider, equals, names = change.partition("=")
        route = tuple(name.strip() for name in names.split(",") if name.strip())
        if not equals or not route:
            raise Fault(f"{change!r} is no route: write it as gmail=main or gmail=main,backup")
        if provider not in {"all", *providers.PROVIDERS}:
            raise Fault(f"{provider!r} is no mailbox provider: it is all, or one of {', '.join(providers.PROVIDERS)}")
        for name in route:
            if name not in pools:
                raise Fault(f"there is no pool {name!r}; the settings have {', '.join(sorted(pools))}")
        found |= dict.fromkeys(providers.PROVIDERS if provider == "all" else (provider,), route)
    return found


async def _change(campaign: str, changes: dict[str, tuple[str, ...]]) -> None:
    async with bus() as connected:
        if changes:
            after = await routes.change(connected, campaign, changes)
        else:
            after = await campaigns.get(connected, campaign)
        out.print(_table(after))


def _table(campaign: Campaign) -> Table:
    table = Table("mailbox provider", "pools, the preferred first", title=plain(campaign.id), title_justify="left")
    for provider in providers.PROVIDERS:
        table.add_row(provider, plain(", ".join(campaign.pools_for(provider))))
    return table
