"""`jetpost retries`: mails that wait for their next try."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any, Final, NamedTuple

import typer

from events import retries, subjects
from events.retries import Waiting
from jetpost.cli.choosing import as_json, be_sure, clock_time, counts, plural
from jetpost.cli.state import bus, out, run
from jetpost.display import duration, plain

_KIND: Final = ("class", "provider", "campaign")

_Campaign = Annotated[str | None, typer.Option(help="Only of this campaign.")]
_Class = Annotated[
    str | None,
    typer.Option(
        "--class", help="Only of this class: transient, throttled, soft, in_doubt; or requeued, from the DLQ."
    ),
]
_Provider = Annotated[str | None, typer.Option(help="Only for this mailbox provider, such as gmail.")]
_Recipient = Annotated[str | None, typer.Option("--recipient", "-r", help="Only to this address.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="At most this many, those due first.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Mails that wait for their next try: list, now, cancel.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("now")(_now)
    group.command("cancel")(_cancel)
    app.add_typer(group, name="retries", rich_help_panel="Mails that need you")


class _Chosen(NamedTuple):
    campaign: str | None
    failure_class: str | None
    provider: str | None
    recipient: str | None


def _list(
    campaign: _Campaign = None,
    failure_class: _Class = None,
    provider: _Provider = None,
    recipient: _Recipient = None,
    limit: Annotated[int, typer.Option(min=0, help="Show this many single mails, those due first.")] = 20,
    as_json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, of all.")] = False,
) -> None:
    """Count and list the mails that wait for their next try, and say when it comes."""
    found = run(_read(_Chosen(campaign, failure_class, provider, recipient)))
    if as_json_lines:
        for one in found:
            typer.echo(as_json(_fields(one)))
        return
    if not found:
        out.print("No retry waits.")
        return
    counted: Counter[tuple[Any, ...]] = Counter((one.failure_class, one.provider, one.campaign) for one in found)
    out.print(counts("mails", counted, _KIND), "")
    now = time.time()
    for one in found[:limit]:
        out.print(_line(one, now))


def _now(
    campaign: _Campaign = None,
    failure_class: _Class = None,
    provider: _Provider = None,
    recipient: _Recipient = None,
    limit: _Limit = None,
    dry_run: _DryRun = False,
) -> None:
    """Make retries due now, such as after a provider's outage. Harmless to repeat.

    `jetpost retries now --campaign spring-sale --provider gmail`
    """
    run(_hurry(_Chosen(campaign, failure_class, provider, recipient), limit, dry_run))


async def _hurry(chosen: _Chosen, limit: int | None, dry_run: bool) -> None:
    found = [one for one in await _read(chosen) if _is_free(one)][:limit]
    if dry_run:
        out.print(f"{plural(len(found))} would be due now.")
        return
    async with bus() as connected:
        hurried = await retries.hurry(connected, found, time.time())
    gone = f"; {plural(len(found) - hurried)} became due meanwhile" if hurried < len(found) else ""
    out.print(f"{plural(hurried)} are due now{gone}.")


def _cancel(
    campaign: _Campaign = None,
    failure_class: _Class = None,
    provider: _Provider = None,
    recipient: _Recipient = None,
    limit: _Limit = None,
    dry_run: _DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Give up what waits for a retry: it moves to the DLQ, from where it can be replayed. Interrupted? Repeat it.

    `jetpost retries cancel --campaign spring-sale --class soft`
    """
    run(_give_up(_Chosen(campaign, failure_class, provider, recipient), limit, dry_run, yes))


async def _give_up(chosen: _Chosen, limit: int | None, dry_run: bool, yes: bool) -> None:
    found = [one for one in await _read(chosen) if not one.parked][:limit]
    if dry_run or not found:
        out.print(f"{plural(len(found))} would be given up.")
        return
    be_sure(f"Give up {plural(len(found))}?", yes)
    async with bus() as connected:
        moved = await retries.cancel(connected, found, time.time())
    gone = f"; {plural(len(found) - moved)} became due meanwhile" if moved < len(found) else ""
    out.print(f"{plural(moved)} given up and in the DLQ{gone}.")


async def _read(chosen: _Chosen) -> list[Waiting]:
    """Those due first come first."""
    wanted = subjects.mail_waiting_where(chosen.campaign or "*", chosen.provider or "*", chosen.failure_class or "*")
    async with bus() as connected:
        found = [one async for one in retries.read(connected, wanted) if chosen.recipient in (None, one.mail.recipient)]
    return sorted(found, key=lambda one: (one.due_at, one.sequence))


def _is_free(one: Waiting) -> bool:
    return not one.parked and not one.cancelled


def _fields(one: Waiting) -> dict[str, Any]:
    return {
        "mail_id": one.mail.mail_id,
        "recipient": one.mail.recipient,
        "campaign": one.campaign,
        "pool": one.pool,
        "provider": one.provider,
        "failure_class": one.failure_class,
        "attempt": one.mail.attempt,
        "due_at": one.due_at if _is_free(one) else None,
        "interrupted": not _is_free(one),
        "last_reply": one.mail.history[-1].reply if one.mail.history else "",
    }


def _line(one: Waiting, now: float) -> str:
    reply = one.mail.history[-1].reply if one.mail.history else ""
    told = f"{one.mail.recipient:<36} {one.provider:<9} {one.failure_class:<9} attempt {one.mail.attempt}  {reply}"
    return f"[dim]{_when(one, now):<28}[/] {plain(told)}"


def _when(one: Waiting, now: float) -> str:
    if one.parked:
        return "replay was interrupted"
    if one.cancelled:
        return "cancelling was interrupted"
    return f"{clock_time(one.due_at)} in {duration(max(0.0, one.due_at - now))}"
