"""Commands about campaign files: check, preview, send."""

from __future__ import annotations

import time
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.live import Live

from events import campaigns
from events.schemas import Campaign
from jetpost import locating
from jetpost.attaching import checked_with_esps
from jetpost.authentication import checked_for_authentication
from jetpost.cli import schedule
from jetpost.cli.choosing import plural
from jetpost.cli.state import Fault, bus, effective, err, out, run, web_url
from jetpost.display import plain, size
from jetpost.links import checked_for_links
from jetpost.settings import Settings
from producer import launch
from producer.campaign import looking
from producer.campaign.check import Checked, check
from producer.campaign.problems import Problem
from producer.errors import CampaignExists
from producer.rendering.renderer import compile_campaign

_File = Annotated[
    Path, typer.Argument(help="The campaign file.", exists=True, dir_okay=False, readable=True, show_default=False)
]
_PREVIEW_SECRET: Final = "of a preview, whose links"  # noqa: S105 - links of a preview lead nowhere


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("check", rich_help_panel="Campaigns")(_check)
    app.command("preview", rich_help_panel="Campaigns")(_preview)
    app.command("send", rich_help_panel="Campaigns")(_send)


def _check(file: _File) -> None:
    """Find everything wrong with a campaign before anything is sent: the file, its templates, its audience.

    Exit code 1 where something is wrong. Example: `jetpost check examples/newsletter/campaign.toml`
    """
    checked = _checked(file, effective().settings)
    _tell(checked)
    if checked.problems:
        raise typer.Exit(1)
    campaign = checked.campaign
    if checked.launchable is not None:
        for line in looking.notes(checked.launchable):
            out.print(plain(line))
    pools = _pools(checked)
    through = f"pool {pools[0]}" if len(pools) == 1 else f"pools {', '.join(pools)}"
    out.print(f"[green]{file} can be sent[/]: campaign [bold]{campaign.id}[/] from {campaign.from_.address}, {through}")
    if checked.launchable is not None and (starts_at := checked.launchable.timing.starts_at) is not None:
        out.print(f"  [cyan]It will start {schedule.when(starts_at, time.time())}.[/]")


def _pools(checked: Checked) -> list[str]:
    """All that its mails may go through."""
    routes = {} if checked.launchable is None else checked.launchable.routes
    return list(dict.fromkeys([checked.campaign.pool, *(pool for route in routes.values() for pool in route)]))


def _preview(
    file: _File,
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write to this file: .html or .txt for one part, else the whole message (.eml)."
        ),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Print the HTML part in place of the text part.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the message as it will be sent.")] = False,
) -> None:
    """Render the mail to one recipient: the campaign file's `[sample]`, or the first of the audience.

    `jetpost preview campaign.toml -o mail.html` and open it in a browser; `-o mail.eml` opens in a mail program.
    """
    settings = effective().settings
    checked = _checked(file, settings)
    _tell(checked)
    if checked.problems or checked.sample is None:
        raise typer.Exit(1)
    producer = msgspec.structs.replace(settings.producer, link_secret=settings.producer.link_secret or _PREVIEW_SECRET)
    message = compile_campaign(checked.campaign, producer).render(checked.sample).message
    if to_file:
        to_file.write_bytes(_as_file(message, to_file.suffix.lower()))
        out.print(f"{to_file}: {size(len(message))} message to {checked.sample.address}")
    elif raw:
        out.print(message.decode("utf-8"), markup=False, end="")
    else:
        _print_mail(message, "html" if html else "plain")


def _as_file(message: bytes, suffix: str) -> bytes:
    if suffix in (".html", ".htm"):
        return _part(_parse(message), "html").encode()
    if suffix == ".txt":
        return _part(_parse(message), "plain").encode()
    return message


def _print_mail(message: bytes, part: str) -> None:
    parsed = _parse(message)
    shown = ("From", "To", "Subject", "Date", "List-Unsubscribe")
    out.print("\n".join(f"[bold]{name}:[/] {plain(str(parsed[name]))}" for name in shown if parsed[name]))
    out.print(f"[dim]{size(len(message))} in all; --html shows the HTML part, -o mail.html writes it to a file[/]\n")
    out.print(_part(parsed, part), markup=False)


def _parse(message: bytes) -> EmailMessage:
    return message_from_bytes(message, policy=policy.default)


def _part(message: EmailMessage, subtype: str) -> str:
    for part in message.walk():
        if part.get_content_type() == f"text/{subtype}":
            return str(part.get_content())
    return ""


def _send(
    file: _File,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help="Start then, whatever the file says: 2027-03-01T09:00:00+01:00, a duration such as 2h, or now.",
            show_default=False,
        ),
    ] = None,
    unless_sent: Annotated[
        bool, typer.Option("--unless-sent", help="Succeed, and do nothing, where the campaign was planned before.")
    ] = False,
) -> None:
    """Send a campaign: plan everybody in its audience, and let producers and senders do the rest.

    Returns when the audience is planned; `jetpost status --watch` shows how it goes on. Interrupted? The same command goes
    on where it stopped, and plans nobody twice. Nothing is sent when `jetpost check` would find a problem.
    """
    found, now = effective(), time.time()
    settings = found.settings
    start = None if at is None else schedule.moment(at, now)
    if start is not None and start < now:
        raise Fault(f"{at} has passed; --at now starts it at once")
    checked = _checked(file, settings, start)
    _tell(checked)
    if checked.problems:
        err.print("Nothing was sent.")
        raise typer.Exit(1)
    if not settings.producer.link_secret:
        if not found.is_set("nats", "url"):
            raise Fault(f"there is nobody to send it: {locating.advice(found)}")
        raise Fault(
            "producer.link_secret must be set: it signs the unsubscribe links, and every producer needs the same one."
            " Set JETPOST_PRODUCER_LINK_SECRET to a long random text, or send through `jetpost up`, which makes one"
        )
    try:
        launched = run(_launch(checked, settings))
    except CampaignExists as error:
        if not unless_sent:
            raise
        out.print(f"Nothing to do: {plain(str(error))}")
    else:
        _say_what_was_launched(*launched)


async def _launch(checked: Checked, settings: Settings) -> tuple[launch.Launched, Campaign]:
    async with bus() as connected:
        with Live("", console=out, auto_refresh=False, transient=True) as live:
            launched = await launch.launch(
                connected,
                checked,
                settings.producer,
                clock=time.time,
                on_progress=lambda progress: live.update(_progress_line(progress), refresh=True),
            )
        return launched, await campaigns.get(connected, launched.campaign)


def _progress_line(progress: launch.Progress) -> str:
    line = f"{progress.rows:,} rows read, {progress.planned:,} recipients planned"
    if progress.duplicates or progress.rejected:
        line += f", {progress.duplicates:,} duplicates, {progress.rejected:,} unusable"
    return f"{line}   [yellow]waiting: {progress.waiting_for}[/]" if progress.waiting_for else line


def _say_what_was_launched(launched: launch.Launched, campaign: Campaign) -> None:
    verb = "resumed and planned" if launched.resumed else "planned"
    batches = "1 batch" if launched.batches == 1 else f"{launched.batches:,} batches"
    out.print(f"[bold]{launched.campaign}[/] {verb}: {plural(launched.planned, 'recipient')} in {batches}")
    if launched.duplicates:
        left_out = "and was left out" if launched.duplicates == 1 else "and were left out"
        out.print(f"  {plural(launched.duplicates, 'row')} had an address that came before, {left_out}")
    if launched.rejects:
        out.print(f"  [yellow]{plural(launched.rejected, 'row')} could not be used[/]: see {launched.rejects}")
    if launched.cancelled:
        out.print("  [yellow]the campaign was cancelled meanwhile[/]")
    if told := schedule.standing(campaign, time.time()):
        out.print(f"  {told}")
    page = f"{web_url(effective())}/campaigns/{launched.campaign}"
    out.print(f"  watch it: [bold]jetpost status {launched.campaign} --watch[/]  or  {page}")


def _checked(file: Path, settings: Settings, start: float | None = None) -> Checked:
    checked = check(file, list(settings.sender.pools), time.time(), settings.producer, start)
    return checked_for_links(checked_for_authentication(checked_with_esps(checked, settings), settings), settings)


def _tell(checked: Checked) -> None:
    _list(checked.warnings, "yellow", "warning")
    _list(checked.problems, "red", "problem")
    if checked.problems:
        count = len(checked.problems)
        err.print(f"[red]{count} problem{'s' if count > 1 else ''}[/]")


def _list(problems: Sequence[Problem], colour: str, word: str) -> None:
    for problem in problems:
        err.print(f"[{colour}]{word}[/] {plain(str(problem))}")
