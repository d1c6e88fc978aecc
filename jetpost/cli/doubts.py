"""`jetpost doubts`: mails of which nobody knows whether they were sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from events import doubts, requeue
from events.bus import Bus
from events.doubts import Doubt
from events.facts import Resolution
from events.requeue import Pace
from jetpost.cli.choosing import as_json, be_sure, campaigns_of, clock_time, plural
from jetpost.cli.state import Fault, bus, out, run
from jetpost.display import plain

_Campaign = Annotated[str | None, typer.Argument(help="Only of this campaign.", show_default=False)]
_Recipient = Annotated[str | None, typer.Option("--recipient", "-r", help="Only to this address.")]
_MailId = Annotated[str | None, typer.Option("--mail-id", help="Only this mail.")]
_Provider = Annotated[str | None, typer.Option(help="Only for this mailbox provider, such as gmail.")]
_All = Annotated[bool, typer.Option("--all", help="All that match, and all there are where nothing else is said.")]
_Note = Annotated[str, typer.Option(help="How you know; kept with the fact.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Mails of which nobody knows whether they were sent: list, resend, accept, not-sent.", no_args_is_help=True
    )
    group.command("list")(_list)
    group.command("resend")(_resend)
    group.command("accept")(_accept)
    group.command("not-sent")(_not_sent)
    app.add_typer(group, name="doubts", rich_help_panel="Mails that need you")


class _Chosen(NamedTuple):
    campaign: str | None
    recipient: str | None
    mail_id: str | None
    provider: str | None

    def matches(self, doubt: Doubt) -> bool:
        fact = doubt.fact
        asked = ((self.recipient, fact.recipient), (self.mail_id, fact.mail_id), (self.provider, fact.provider))
        return all(wanted in (None, found) for wanted, found in asked)

    def require_a_choice(self, everything: bool) -> None:
        """Raises `Fault` where nothing was chosen."""
        if not everything and not any((self.recipient, self.mail_id, self.provider)):
            raise Fault("which mails? Say --recipient, --mail-id or --provider, or --all")


def _list(
    campaign: _Campaign = None,
    recipient: _Recipient = None,
    mail_id: _MailId = None,
    provider: _Provider = None,
    as_json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the mails in doubt: a worker or a connection died between handing the mail over and hearing the answer.

    The relay's log, or the provider's, knows more: look the recipient up there, then `accept`, `not-sent` or `resend`.
    """
    run(_print_list(_Chosen(campaign, recipient, mail_id, provider), as_json_lines))


async def _print_list(chosen: _Chosen, as_json_lines: bool) -> None:
    found = 0
    async with bus() as connected:
        for campaign in await campaigns_of(connected, chosen.campaign):
            for doubt in await _find(connected, campaign, chosen):
                found += 1
                typer.echo(as_json(_fields(doubt))) if as_json_lines else out.print(_line(doubt))
    if not as_json_lines:
        out.print("No mail is in doubt." if not found else f"\n{plural(found)} in doubt")


def _resend(
    campaign: _Campaign = None,
    recipient: _Recipient = None,
    mail_id: _MailId = None,
    provider: _Provider = None,
    everything: _All = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Mails per second.")] = None,
    yes: _Yes = False,
) -> None:
    """Send mails in doubt again, and risk that somebody gets two. Says so in an event.

    `jetpost doubts resend spring-sale --recipient ada@example.com`
    """
    chosen = _Chosen(campaign, recipient, mail_id, provider)
    chosen.require_a_choice(everything)
    run(_resend_all(chosen, rate, yes))


async def _resend_all(chosen: _Chosen, rate: float | None, yes: bool) -> None:
    async with bus() as connected:
        for campaign in await campaigns_of(connected, chosen.campaign):
            found = await _find(connected, campaign, chosen)
            ready = [doubt for doubt in found if doubt.letters]
            if len(ready) < len(found):
                out.print(
                    f"{campaign}: {plural(len(found) - len(ready))} left alone: the next try is scheduled or on its way"
                )
            if not ready:
                continue
            be_sure(f"Send {plural(len(ready))} of {campaign} again? Who has got theirs gets another", yes)
            letters = [letter for doubt in ready for letter in doubt.letters[:1]]
            settled = await requeue.put_back(
                connected, campaign, letters, Pace(time.time, rate), certainly_not_sent=False
            )
            out.print(f"{campaign}: {plural(settled.released)} on their way again.")


def _accept(
    campaign: _Campaign = None,
    recipient: _Recipient = None,
    mail_id: _MailId = None,
    provider: _Provider = None,
    everything: _All = False,
    note: _Note = "",
    yes: _Yes = False,
) -> None:
    """State that mails in doubt were sent: the ledger counts them as accepted.

    `jetpost doubts accept spring-sale --recipient ada@example.com --note "queued as 4B2F by the relay"`
    """
    chosen = _Chosen(campaign, recipient, mail_id, provider)
    chosen.require_a_choice(everything)
    run(_resolve_all(chosen, "accepted", note, yes))


def _not_sent(
    campaign: _Campaign = None,
    recipient: _Recipient = None,
    mail_id: _MailId = None,
    provider: _Provider = None,
    everything: _All = False,
    note: _Note = "",
    yes: _Yes = False,
) -> None:
    """State that mails in doubt were not sent: they count as given up, and `jetpost dlq replay` sends them without risk.

    `jetpost doubts not-sent spring-sale --all --note "the relay was down"`
    """
    chosen = _Chosen(campaign, recipient, mail_id, provider)
    chosen.require_a_choice(everything)
    run(_resolve_all(chosen, "not_sent", note, yes))


async def _resolve_all(chosen: _Chosen, resolution: Resolution, note: str, yes: bool) -> None:
    meaning = "were sent" if resolution == "accepted" else "were not sent"
    async with bus() as connected:
        for campaign in await campaigns_of(connected, chosen.campaign):
            found = await _find(connected, campaign, chosen)
            if not found:
                continue
            be_sure(f"State that {plural(len(found))} of {campaign} {meaning}?", yes)
            resolved = await doubts.resolve(connected, found, resolution, by="cli", note=note, at=time.time())
            out.print(f"{campaign}: {plural(len(resolved))} stated as {resolution.replace('_', ' ')}.")
            if len(resolved) < len(found):
                out.print(f"{campaign}: {plural(len(found) - len(resolved))} left alone: being tried again just now")


async def _find(connected: Bus, campaign: str, chosen: _Chosen) -> Sequence[Doubt]:
    mails = None if chosen.mail_id is None else {chosen.mail_id}
    return [doubt for doubt in await doubts.find(connected, campaign, mails) if chosen.matches(doubt)]


def _fields(doubt: Doubt) -> dict[str, Any]:
    fact = doubt.fact
    return {name: getattr(fact, name) for name in fact.__struct_fields__} | {"kept": _where(doubt)}


def _where(doubt: Doubt) -> str:
    if doubt.letters:
        return "dlq"
    return "retry scheduled" if doubt.waiting else "being tried again"


def _line(doubt: Doubt) -> str:
    fact = doubt.fact
    told = f"{fact.mail_id}  {fact.recipient:<36} {fact.provider:<9} attempt {fact.attempt}  {_where(doubt)}"
    return f"[dim]{clock_time(fact.at)}[/] {plain(f'{fact.campaign}  {told}')}"
