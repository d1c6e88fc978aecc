"""Commands about campaigns that were sent: status, pause, resume, cancel, report."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from events import campaigns, providers, streams
from events.bus import Bus
from events.ledger import Ledger
from events.schemas import Campaign
from jetpost.cli import scaling, schedule
from jetpost.cli.state import Fault, bus, get_json, out, run
from jetpost.display import duration, ledger_bar, ledger_table, places, plain, size

_Id = Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)]
_MOVING = ("planning", "running", "paused")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("status", _status),
        ("report", _report),
        ("pause", _pause),
        ("resume", _resume),
        ("cancel", _cancel),
    ):
        app.command(name, rich_help_panel="Campaigns")(command)


def _status(
    campaign: Annotated[str | None, typer.Argument(help="Only this campaign.", show_default=False)] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing, until Ctrl-C.")] = False,
) -> None:
    """Show campaigns: how far they are, and where every recipient is.

    `jetpost status spring-sale --watch` follows one; without a campaign all are shown.
    """
    run(_watch(campaign) if watch else _once(campaign))


async def _once(wanted: str | None) -> None:
    async with bus() as connected:
        out.print(await _table(connected, wanted))


async def _watch(wanted: str | None) -> None:
    async with bus() as connected:
        with Live(await _table(connected, wanted), console=out, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(1)
                live.update(await _table(connected, wanted), refresh=True)


async def _table(connected: Bus, wanted: str | None) -> Group | str:
    found = [await campaigns.get(connected, wanted)] if wanted else await campaigns.all_of(connected)
    if not found:
        return "No campaign yet. Send one with [bold]jetpost send campaign.toml[/]"
    return Group(*[await _one(connected, campaign) for campaign in found], *await scaling.standing(connected))


async def _one(connected: Bus, campaign: Campaign) -> Group:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row(f"[bold]{campaign.id}[/]", plain(campaign.name), f"[{_colour(campaign)}]{_status_of(campaign)}[/]")
    try:
        document = await get_json(f"/api/campaigns/{campaign.id}")
    except Fault:
        waiting = await _waiting(connected, campaign) if campaign.status in _MOVING else 0
        return Group(
            table,
            f"  {waiting:,} mails in the queue [dim](the web app, which counts the rest, does not answer)[/]",
            *_standing(campaign),
        )
    ledger, trouble = _ledger(document), document["health"]["message"]
    warnings = [f"  [yellow]{plain(line)}[/]" for line in trouble.splitlines() if campaign.status in _MOVING]
    return Group(table, ledger_bar(ledger), f"  {counted(ledger, campaign)}", *_standing(campaign), *warnings, "")


def counted(ledger: Ledger, campaign: Campaign) -> str:
    """Where recipients are, in one line with markup; what is counted is a second or two behind."""
    if ledger.planned:
        return f"planned {ledger.planned:,}:  {places(ledger)}"
    if campaign.planned:
        return f"planned {campaign.planned:,}:  counting has just begun"
    return "planning has just begun" if campaign.finished_at is None else "nobody was planned"


def _standing(campaign: Campaign) -> list[str]:
    told = schedule.standing(campaign, time.time())
    return [f"  {told}"] if told else []


def _status_of(campaign: Campaign) -> str:
    return "scheduled" if campaign.is_scheduled and campaign.status in {"planning", "running"} else campaign.status


def _colour(campaign: Campaign) -> str:
    return {"finished": "green", "cancelled": "red", "paused": "yellow"}.get(campaign.status, "cyan")


async def _waiting(connected: Bus, campaign: Campaign) -> int:
    states = [
        await connected.consumer_state(streams.MAIL.name, streams.lane_name(campaign.id, campaign.pool, provider))
        for provider in providers.PROVIDERS
    ]
    return sum(state.waiting + state.in_flight for state in states if state)


def _pause(campaign: _Id) -> None:
    """Stop sending a campaign; what senders hold is finished. `jetpost resume` goes on.

    Time goes on, too: a campaign that is paused beyond its deadline has nothing left to send.
    """
    run(_change(campaign, "pause"))


def _resume(campaign: _Id) -> None:
    """Go on with a paused campaign. One whose start passed meanwhile starts now; `jetpost reschedule` gives it another."""
    run(_change(campaign, "resume"))


async def _change(campaign: str, verb: str) -> None:
    async with bus() as connected:
        if verb == "pause":
            after = await campaigns.pause_campaign(connected, campaign)
        else:
            after = await campaigns.resume_campaign(connected, campaign, time.time())
        out.print(f"{campaign} is {after.status}. {schedule.standing(after, time.time())}".rstrip())


def _cancel(
    campaign: _Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a campaign for good: what is queued is taken out of the queue, and counted as cancelled."""
    if not yes:
        typer.confirm(f"Cancel {campaign} for good? Mails already sent stay sent", abort=True)
    run(_cancel_now(campaign))


async def _cancel_now(campaign: str) -> None:
    async with bus() as connected:
        cancellation = await campaigns.cancel_campaign(connected, campaign)
        out.print(f"{campaign} is cancelled; {cancellation.removed:,} mails were taken out of the queue.")


def _report(
    campaign: _Id,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Show how a campaign went: the ledger, latency, providers, failures, sizes.

    `jetpost report spring-sale --json | jq .figures.progress.ledger` is the ledger for a program.
    """
    document = run(get_json(f"/api/campaigns/{campaign}/report"))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(document)))
    elif document["figures"] is None:
        raise Fault(f"nothing has been counted of {campaign} yet")
    else:
        out.print(report(document))


def report(document: dict[str, Any]) -> Group:
    """A campaign's report, for people."""
    ledger = _ledger(document)
    latency, sizes = document["figures"]["latency"], document["figures"]["sizes"]
    quantiles = "   ".join(f"{name} {duration(latency[name])}" for name in ("p50", "p99", "p999"))
    return Group(
        ledger_table(ledger),
        ledger_bar(ledger),
        "",
        f"latency, queued to accepted: {quantiles}",
        f"in the queue: {size(sizes['queued_bytes'])} for {size(sizes['raw_bytes'])} of mail ({sizes['ratio']:.0f} : 1)",
        "",
        _providers(document["providers"]),
        *(("", _failures(document["failures"])) if document["failures"] else ()),
        *_readers(document["engagement"], document["campaign"]["tracking"], ledger.accepted),
    )


def _ledger(document: dict[str, Any]) -> Ledger:
    """The ledger of a campaign as the API tells it; empty where analytics has never answered."""
    figures = document["figures"]
    return msgspec.convert(figures["progress"]["ledger"], Ledger) if figures else Ledger()


def _readers(found: dict[str, Any], tracking: dict[str, Any], accepted: int) -> list[str | Table]:
    """What readers did, and what came back; nothing where nothing is known of it."""
    if not any(count for name, count in found.items() if name != "links"):
        return []

    def share(name: str) -> str:
        return f"{found[name]:,} ({found[name] / accepted:.1%})" if accepted else f"{found[name]:,}"

    lines = []
    for word, what in (("opened", "opens"), ("clicked", "clicks")):
        if tracking.get(what) or found[what]:
            machines = f"{found[what]:,} {what}, {found[f'machine_{what}']:,} of them by machines"
            lines.append(f"{word} by {share(f'unique_{what}')}: {machines}")
    lines.append(f"unsubscribed {share('unsubscribed')}, complained {share('complained')}")
    if found["delivered"]:
        lines.append(f"says the ESP: delivered {share('delivered')}")
    if found["returned"]:
        hard = f"{found['returned_hard']:,} of them from addresses that do not work"
        lines.append(f"came back after they were accepted: {share('returned')}, {hard}")
    return ["", *lines, *(("", _links(found["links"])) if found["links"] else ())]


def _links(rows: list[dict[str, Any]], limit: int = 12) -> Table:
    table = Table("readers", "clicks", "machines", "link", box=None, header_style="bold")
    for column in table.columns[:3]:
        column.justify = "right"
    for row in rows[:limit]:
        table.add_row(
            f"{row['unique_clicks']:,}", f"{row['clicks']:,}", f"{row['machine_clicks']:,}", plain(row["url"])
        )
    return table


def _providers(rows: list[dict[str, Any]]) -> Table:
    columns = ("accepted", "deferred", "bounced", "failed", "in_doubt")
    table = Table(
        "provider", *(name.replace("_", " ") for name in columns), "p50", "p99", box=None, header_style="bold"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        counts = (f"{row[name]:,}" for name in columns)
        table.add_row(row["provider"], *counts, duration(row["p50"]), duration(row["p99"]))
    return table


def _failures(rows: list[dict[str, Any]], limit: int = 12) -> Table:
    table = Table("attempts", "outcome", "class", "reply", box=None, header_style="bold")
    table.columns[0].justify = "right"
    for row in rows[:limit]:
        reply = " ".join(str(row[name]) for name in ("code", "reply") if row[name])
        table.add_row(f"{row['count']:,}", row["outcome"], row["failure_class"], plain(reply))
    return table
