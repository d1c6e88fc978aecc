"""`jetpost dlq`: the mails that were given up, and putting them back."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final, NamedTuple

import typer

from events import campaigns, dead_letters, requeue, stories, streams, subjects
from events.bus import Bus
from events.campaigns import CampaignError
from events.compression import Decompressor
from events.dead_letters import DeadLetter, Letter, Wanted
from events.requeue import Pace
from events.schemas import Attempt
from jetpost.cli import listing
from jetpost.cli.choosing import as_json, be_sure, clock_time, moment, plural
from jetpost.cli.events import as_line
from jetpost.cli.listing import Listing
from jetpost.cli.state import Fault, bus, out, run
from jetpost.display import plain

_KIND: Final = ("class", "code", "enhanced", "reason", "provider", "campaign")

_Campaign = Annotated[str | None, typer.Argument(help="Only of this campaign.", show_default=False)]
_Provider = Annotated[str | None, typer.Option(help="Only for this mailbox provider, such as gmail.")]
_Class = Annotated[
    str | None,
    typer.Option(
        "--class", help="Only of this class: transient, throttled, soft, block, unreadable, in_doubt, poison."
    ),
]
_Code = Annotated[int | None, typer.Option(help="Only with this reply code, such as 550.")]
_Enhanced = Annotated[str | None, typer.Option(help="Only with this enhanced code, such as 5.7.1.")]
_Reason = Annotated[str | None, typer.Option(help="Only for this reason, such as spam_content.")]
_Recipient = Annotated[str | None, typer.Option("--recipient", "-r", help="Only to this address.")]
_Since = Annotated[
    str | None, typer.Option(help="Only given up since then: 2h, 7d, 2026-03-01 or 2026-03-01T12:30 (UTC).")
]
_Until = Annotated[str | None, typer.Option(help="Only given up until then.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Mails that were given up: list, show, replay.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("replay")(_replay)
    app.add_typer(group, name="dlq", rich_help_panel="Mails that need you")


def _list(  # noqa: PLR0913, PLR0917 - one parameter an option
    campaign: _Campaign = None,
    provider: _Provider = None,
    failure_class: _Class = None,
    code: _Code = None,
    enhanced: _Enhanced = None,
    reason: _Reason = None,
    recipient: _Recipient = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=0, help="Show this many single mails, the newest; counts are of all.")] = 20,
    as_json_lines: _Json = False,
) -> None:
    """Count and list what was given up.

    `jetpost dlq list spring-sale --class block --since 2h` is what providers refused in the last two hours.
    """
    wanted = _wanted(campaign, provider, failure_class, code, enhanced, reason, recipient, since, until)
    run(_print_list(wanted, limit, as_json_lines))


async def _print_list(wanted: Wanted, limit: int, as_json_lines: bool) -> None:
    how = Listing("mails", _KIND, "Nothing that matches was given up.", _kind, _line, _fields)
    async with bus() as connected:
        found = (letter async for _, letter in dead_letters.matching(connected, wanted))
        await listing.show(found, how, limit, as_json_lines)


def _show(
    mail_id: Annotated[str, typer.Argument(help="The mail's id, as `jetpost dlq list` shows it.", show_default=False)],
    campaign: Annotated[str | None, typer.Option(help="Look only in this campaign, which is faster.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the message itself, as it was handed to the relay.")
    ] = False,
    as_json_lines: _Json = False,
) -> None:
    """Show one mail that was given up: every try, every reply, what was stated about it.

    `jetpost dlq show MAIL_ID --raw > mail.eml` is the message.
    """
    run(_print_one(mail_id, campaign, raw, as_json_lines))


async def _print_one(mail_id: str, campaign: str | None, raw: bool, as_json_lines: bool) -> None:
    async with bus() as connected:
        letter = await _find(connected, mail_id, campaign)
        if raw:
            typer.echo(await _message(connected, letter), nl=False)
            return
        if as_json_lines:
            typer.echo(as_json(_fields(letter)))
            return
        out.print(_line(letter))
        for attempt in letter.mail.history:
            out.print(_attempt(attempt))
        out.print("\nWhat was stated:")
        async for fact in stories.told(connected, letter.campaign, {mail_id}):
            out.print(as_line(fact))


async def _find(connected: Bus, mail_id: str, campaign: str | None) -> DeadLetter:
    found = None
    async for _, letter in dead_letters.read(connected, subjects.dlq_where(campaign or "*")):
        found = letter if letter.mail.mail_id == mail_id else found
    if found is None:
        raise Fault(f"there is no mail {mail_id} in the dead-letter queue")
    return found


async def _message(connected: Bus, letter: DeadLetter) -> bytes:
    try:
        dictionary = await (await connected.blobs()).get(f"{letter.campaign}/dictionary")
    except KeyError:
        raise Fault(f"the dictionary of {letter.campaign} is gone: its mails cannot be decompressed") from None
    return Decompressor(dictionary).decompress(letter.mail.body)


def _replay(  # noqa: PLR0913, PLR0917 - the same
    campaign: _Campaign = None,
    provider: _Provider = None,
    failure_class: _Class = None,
    code: _Code = None,
    enhanced: _Enhanced = None,
    reason: _Reason = None,
    recipient: _Recipient = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many, the oldest first.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Mails per second; the rest waits, see `jetpost retries list`.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Try again what was given up, with a fresh allowance of retries. The campaign runs again, if it had finished.

    Interrupted? The same command goes on; nothing is sent twice. Mails in doubt are left alone: see `jetpost doubts`.

    `jetpost dlq replay spring-sale --class block --rate 50`
    """
    wanted = _wanted(campaign, provider, failure_class, code, enhanced, reason, recipient, since, until)
    run(_replay_all(wanted, _Bounds(limit, rate, dry_run, yes)))


class _Bounds(NamedTuple):
    limit: int | None
    rate: float | None
    dry_run: bool
    yes: bool


async def _replay_all(wanted: Wanted, bounds: _Bounds) -> None:
    pace = Pace(time.time, bounds.rate)
    async with bus() as connected:
        if wanted.campaign is not None:
            await campaigns.get(connected, wanted.campaign)
        if not bounds.dry_run:
            await _finish_interrupted(connected, wanted.campaign, pace)
        by_campaign: dict[str, list[Letter]] = {}
        async for letter in dead_letters.matching(connected, wanted):
            by_campaign.setdefault(letter.letter.campaign, []).append(letter)
        if not by_campaign:
            out.print("Nothing that matches was given up.")
        left = bounds.limit
        for campaign, letters in by_campaign.items():
            try:
                done = await _replay_campaign(connected, campaign, letters, left, pace, bounds)
            except CampaignError as error:
                if wanted.campaign is not None:
                    raise
                out.print(f"{campaign}: left alone. {plain(str(error))}")
            else:
                left = None if left is None else left - done


async def _finish_interrupted(connected: Bus, campaign: str | None, pace: Pace) -> None:
    """Where somebody died while putting mails back."""
    interrupted = {
        subject.split(".")[2]
        for subject in await connected.count_by_subject(
            streams.MAIL.name, subjects.mail_waiting_where(campaign or "*", failure_class=requeue.REQUEUED)
        )
    }
    for name in interrupted:
        settled = await requeue.settle(connected, name, pace)
        if settled.released:
            out.print(f"{name}: {plural(settled.released)} of an interrupted replay are on their way.")


async def _replay_campaign(
    connected: Bus, campaign: str, letters: list[Letter], limit: int | None, pace: Pace, bounds: _Bounds
) -> int:
    found = await requeue.survey(connected, campaign, letters)
    chosen = found["given_up"][:limit]
    verb = "would be put" if bounds.dry_run else "are put"
    if found["in_doubt"]:
        out.print(
            f"{campaign}: {plural(len(found['in_doubt']))} in doubt left alone: [bold]jetpost doubts list {campaign}[/]"
        )
    if found["unsettled"]:
        out.print(f"{campaign}: {plural(len(found['unsettled']))} left alone, whose outcome is being stated just now")
    if bounds.dry_run or not chosen:
        out.print(f"{campaign}: {plural(len(chosen))} {verb} back.")
        return len(chosen)
    be_sure(f"Try {plural(len(chosen))} of {campaign} again?", bounds.yes)
    await connected.delete(streams.DLQ.name, [letter.sequence for letter in found["moved_on"]])
    settled = await requeue.put_back(connected, campaign, chosen, pace)
    at_rate = f", {bounds.rate:g} per second" if bounds.rate else ""
    out.print(f"{campaign}: {plural(settled.released)} {verb} back{at_rate}.")
    return settled.released


def _wanted(  # noqa: PLR0913, PLR0917 - the same
    campaign: str | None,
    provider: str | None,
    failure_class: str | None,
    code: int | None,
    enhanced: str | None,
    reason: str | None,
    recipient: str | None,
    since: str | None,
    until: str | None,
) -> Wanted:
    now = time.time()
    return Wanted(
        campaign=campaign,
        provider=provider,
        failure_class=failure_class,
        code=code,
        enhanced=enhanced,
        reason=reason,
        recipient=recipient,
        since=moment(since, now),
        until=moment(until, now),
    )


def _kind(letter: DeadLetter) -> tuple[Any, ...]:
    return (
        letter.failure_class,
        letter.code,
        letter.enhanced,
        letter.reason,
        letter.provider,
        letter.campaign,
    )


def _fields(letter: DeadLetter) -> dict[str, Any]:
    """Everything but the message."""
    history = [{name: getattr(attempt, name) for name in attempt.__struct_fields__} for attempt in letter.mail.history]
    fields = {name: getattr(letter, name) for name in letter.__struct_fields__ if name != "mail"}
    mail = {"mail_id": letter.mail.mail_id, "recipient": letter.mail.recipient, "attempts": letter.mail.attempt}
    return mail | fields | {"history": history}


def _line(letter: DeadLetter) -> str:
    mail = letter.mail
    reply = " ".join(str(part) for part in (letter.code or "", letter.enhanced, letter.reply) if part)
    told = f"{mail.mail_id}  {mail.recipient:<36} {letter.provider:<9} {letter.failure_class:<9} {reply}"
    return f"[dim]{clock_time(letter.at)}[/] {plain(told)}"


def _attempt(attempt: Attempt) -> str:
    reply = " ".join(str(part) for part in (attempt.code or "", attempt.enhanced, attempt.reply) if part)
    return f"  [dim]{clock_time(attempt.at)}[/] attempt {attempt.number}: {plain(f'{attempt.failure_class}  {reply}')}"
