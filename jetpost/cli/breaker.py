"""`jetpost breaker`: lanes of campaigns that the circuit breaker stopped, and letting them go on."""

from __future__ import annotations

import time
from typing import Annotated, Final

import msgspec
import typer

from events import breaker
from events.breaker import EVERY_LANE, Stopped
from jetpost.cli.choosing import as_json, clock_time, plural
from jetpost.cli.state import bus, out, run
from jetpost.display import plain

_EVERY: Final = "every lane"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Lanes that the circuit breaker stopped: list, resume.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("resume")(_resume)
    app.add_typer(group, name="breaker", rich_help_panel="Mails that need you")


def _list(
    campaign: Annotated[str | None, typer.Option(help="Only of this campaign.")] = None,
    as_json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """What is stopped, since when and why, and how many mails wait for it."""
    found = [one for one in run(_read()) if campaign in (None, one.campaign)]
    if as_json_lines:
        for one in found:
            typer.echo(as_json(msgspec.structs.asdict(one)))
        return
    if not found:
        out.print("No lane is stopped.")
        return
    for one in found:
        out.print(
            f"[bold]{plain(one.campaign)}[/]  {_lane(one)}  {plural(one.held)} wait since {clock_time(one.since)}"
        )
        out.print(f"    {plain(one.reason)}")
    out.print("\nWhen the cause is mended: jetpost breaker resume CAMPAIGN [PROVIDER]", markup=False)


async def _read() -> list[Stopped]:
    async with bus() as connected:
        return await breaker.report(connected)


def _lane(one: Stopped) -> str:
    return f"{one.pool} {one.provider}" if one.provider else _EVERY


def _resume(
    campaign: Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)],
    provider: Annotated[str, typer.Argument(help="Only this mailbox provider's lane, such as gmail.")] = "",
) -> None:
    """Let what was stopped go on; what was counted so far is forgotten. After a canary: send the rest.

    `jetpost breaker resume spring-sale gmail`
    """
    run(_go_on(campaign, provider))


async def _go_on(campaign: str, provider: str) -> None:
    async with bus() as connected:
        held = {
            (one.pool, one.provider): one.held for one in await breaker.report(connected) if one.campaign == campaign
        }
        resumed = await breaker.resume(connected, campaign, provider, time.time(), "cli")
    for lane, opening in resumed.items():
        pool, _, name = lane.partition(".")
        told = f"{pool} {name}" if lane != EVERY_LANE else _EVERY
        out.print(
            f"{told} of {plain(campaign)} goes on, with {plural(held.get((pool, name), 0))} ({plain(opening.reason)})."
        )
