"""`jetpost wait`: until a campaign has ended, for Jobs and scripts."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import typer

from events import campaigns
from events.bus import Bus
from events.errors import RetryLater
from events.schemas import Campaign
from jetpost.cli.state import Fault, bus, err, out, run
from jetpost.display import plain

_LOOK_SECONDS: Final = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("wait", rich_help_panel="Campaigns")(_wait)


def _wait(
    campaign: Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)],
    timeout: Annotated[float, typer.Option(min=0, help="Give up after so many seconds; 0: never.")] = 0,
) -> None:
    """Wait until a campaign has finished: every recipient has an outcome, and the ledger balances.

    Exit code 1 where it was cancelled, 2 where it is not finished in time. `jetpost reconcile` then proves the ledger.
    """
    ended = run(_until_ended(campaign, timeout or None))
    out.print(f"[bold]{ended.id}[/] is {ended.status}.")
    if ended.status != "finished":
        raise typer.Exit(1)


async def _until_ended(campaign: str, timeout: float | None) -> Campaign:
    async with bus() as connected:
        try:
            async with asyncio.timeout(timeout):
                return await _watch(connected, campaign)
        except TimeoutError:
            raise Fault(f"{campaign} is not finished after {timeout:g} seconds: jetpost status {campaign}") from None


async def _watch(connected: Bus, campaign: str) -> Campaign:
    """Says once whatever stands in the way. Raises `CampaignNotFound`."""
    said = ""
    while True:
        try:
            found = await campaigns.get(connected, campaign)
        except RetryLater as error:
            obstacle = str(error)
        else:
            if found.status in ("finished", "cancelled"):
                return found
            obstacle = (
                f"{campaign} is paused: {found.pause_note or 'jetpost resume goes on'}"
                if found.status == "paused"
                else ""
            )
        if obstacle and obstacle != said:
            err.print(f"[yellow]{plain(obstacle)}[/]")
        said = obstacle
        await asyncio.sleep(_LOOK_SECONDS)
