"""`jetpost events`: what happened, as it lies in the EVENTS stream."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated, Final

import msgspec
import typer

from events import facts, streams, subjects
from jetpost.cli.state import bus, out, run
from jetpost.display import COLOURS

_CAMPAIGN_COLOUR: Final = "bold cyan"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("events", rich_help_panel="Campaigns")(_events)


def _events(
    campaign: Annotated[str | None, typer.Argument(help="Only of this campaign.", show_default=False)] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", help="Only of this type, such as bounced; may be repeated.", show_default=False),
    ] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", "-r", help="Only about this address.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only of this mailbox provider, such as gmail.")] = None,
    failure_class: Annotated[
        str | None, typer.Option("--class", help="Only of this class of failure, such as soft.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what happened: every outcome of every attempt, oldest first.

    `jetpost events spring-sale --type bounced --json | jq -r .recipient` lists the addresses that do not exist.
    """
    wanted = _Wanted(set(types or ()), recipient, provider, failure_class)
    with contextlib.suppress(BrokenPipeError):
        run(_show(campaign, wanted, follow, as_json))


class _Wanted(msgspec.Struct, frozen=True):
    types: set[str]
    recipient: str | None
    provider: str | None
    failure_class: str | None

    def matches(self, fact: facts.Fact) -> bool:
        if self.types and facts.type_of(fact) not in self.types:
            return False
        asked = {"recipient": self.recipient, "provider": self.provider, "failure_class": self.failure_class}
        return all(getattr(fact, name, None) == value for name, value in asked.items() if value is not None)


async def _show(campaign: str | None, wanted: _Wanted, follow: bool, as_json: bool) -> None:
    subject = subjects.events_of_campaign(campaign) if campaign else subjects.EVENTS
    async with bus() as connected:
        start = (await connected.stream_state(streams.EVENTS.name)).last_sequence + 1 if follow else 1
        async for record in connected.read(streams.EVENTS.name, subject, from_sequence=start, follow=follow):
            fact = facts.decode(record.payload)
            if wanted.matches(fact):
                out.print(_as_json(fact) if as_json else _as_line(fact), markup=not as_json)


def _as_json(fact: facts.Fact) -> str:
    fields = {"type": facts.type_of(fact), **{name: getattr(fact, name) for name in fact.__struct_fields__}}
    return msgspec.json.encode(fields).decode()


def _as_line(fact: facts.Fact) -> str:
    kind = facts.type_of(fact)
    colour = COLOURS.get(kind, "blue" if kind == "deferred" else _CAMPAIGN_COLOUR)
    clock = time.strftime("%H:%M:%S", time.localtime(fact.at))
    return f"[dim]{clock}[/] [{colour}]{kind:<16}[/] {_details(fact)}"


def _details(fact: facts.Fact) -> str:
    if not isinstance(fact, facts.MAIL_FACTS):
        hidden = ("campaign", "at")
        rest = "  ".join(f"{name}={getattr(fact, name)}" for name in fact.__struct_fields__ if name not in hidden)
        return f"{fact.campaign}  {rest}".replace("[", "\\[")
    attempt = f"attempt {fact.attempt}" if fact.attempt else "not tried"
    reply = " ".join(str(part) for part in (getattr(fact, "code", ""), getattr(fact, "reply", "")) if part)
    why = getattr(fact, "failure_class", "") or getattr(fact, "reason", "")
    return f"{fact.recipient:<40} {fact.provider:<9} {attempt}  {why}  {reply}".rstrip().replace("[", "\\[")
