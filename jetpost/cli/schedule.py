"""`jetpost priority` and `jetpost reschedule`: when a campaign is sent, and before whom; and how that is told."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from events import campaigns, priority, schedule
from events.schedule import duration
from events.schemas import PRIORITIES, Campaign, Priority
from jetpost.cli.state import Fault, bus, out, run
from jetpost.display import plain
from producer.campaign.timing import MOST_WEIGHT, moment_of

_Id = Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)]
_AT_HELP = "A moment with its offset, such as 2027-03-01T09:00:00+01:00, or a duration from now, such as 2h."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("priority", rich_help_panel="Campaigns")(_priority)
    app.command("reschedule", rich_help_panel="Campaigns")(_reschedule)


def moment(text: str, now: float) -> float:
    """Unix seconds. Raises `Fault`."""
    try:
        return moment_of(text, now)
    except ValueError as error:
        raise Fault(str(error)) from None


def _priority(
    campaign: _Id,
    to: Annotated[str, typer.Argument(metavar="CLASS", help="urgent, normal or low.", show_default=False)],
    weight: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_WEIGHT, help="Its share among campaigns of the class; by default as it is."),
    ] = None,
) -> None:
    """Change which campaigns go first, while they run: producers and senders follow within moments.

    Mails of urgent campaigns are rendered and sent before all others; each lower class keeps a twentieth meanwhile.
    `jetpost priority spring-sale low`; `jetpost priority spring-sale normal --weight 3`
    """
    run(_prioritise(campaign, _class(to), weight))


def _class(word: str) -> Priority:
    for known in PRIORITIES:
        if known == word:
            return known
    raise Fault(f"{word!r} is no priority: it is one of {', '.join(PRIORITIES)}")


async def _prioritise(campaign: str, to: Priority, weight: int | None) -> None:
    async with bus() as connected:
        after = await priority.change(connected, campaign, to, weight)
        out.print(f"{campaign} is {after.priority} now, with weight {after.weight}.")


def _reschedule(
    campaign: _Id,
    at: Annotated[str | None, typer.Option("--at", help=_AT_HELP, show_default=False)] = None,
    now: Annotated[bool, typer.Option("--now", help="Start at once.")] = False,
) -> None:
    """Give a scheduled campaign another start, or start it now.

    One that is paused because it missed its start goes on: at the new one, or at once.
    `jetpost reschedule spring-sale --at 2027-03-02T09:00:00+01:00`; `jetpost reschedule spring-sale --now`
    """
    if (at is None) != now:
        raise Fault("say either --at with a moment, or --now")
    run(_move(campaign, None if at is None else moment(at, time.time())))


async def _move(campaign: str, at: float | None) -> None:
    def move(newest: Campaign) -> Campaign:
        now = time.time()
        return schedule.start_now(newest, now) if at is None else schedule.reschedule(newest, at, now)

    async with bus() as connected:
        after = await campaigns.change(connected, campaign, move)
    out.print(f"{campaign}: {standing(after, time.time()) or 'it starts now.'}")
    if after.status == "paused":
        out.print(f"  It is paused: [bold]jetpost resume {campaign}[/] lets it go on.")


def standing(campaign: Campaign, now: float) -> str:
    """What a person should know of its start and its pause, with markup; empty where it is sent like any other."""
    if campaign.status in {"finished", "cancelled"}:
        return ""
    told = []
    if campaign.pause_note:
        told.append(f"[yellow]{plain(campaign.pause_note)}[/]")
    elif campaign.is_scheduled and campaign.starts_at is not None:
        told.append(f"[cyan]It starts {when(campaign.starts_at, now)}.[/]")
    if campaign.priority != "normal" or campaign.weight != 1:
        weight = "" if campaign.weight == 1 else f", with weight {campaign.weight}"
        told.append(f"Its priority is {campaign.priority}{weight}.")
    return " ".join(told)


def when(at: float, now: float) -> str:
    """A moment in the zone of this machine, and how far it is."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))
    return f"at {clock}, in {duration(at - now)}" if at > now else f"at {clock}, {duration(now - at)} ago"
