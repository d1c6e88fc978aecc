"""`jetpost events`: what happened, as it lies in the EVENTS stream."""

from __future__ import annotations

import difflib
import time
from collections.abc import Collection
from typing import Annotated, Final, get_args

import msgspec
import typer

from events import facts, providers, streams, subjects
from jetpost.cli.state import Fault, bus, out, run
from jetpost.display import COLOURS, plain

_CAMPAIGN_COLOUR: Final = "bold cyan"
_TYPES: Final = tuple(str(kind.__struct_config__.tag) for kind in get_args(facts.Fact))


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
        str | None,
        typer.Option("--class", help="Only of this class of failure: transient, throttled, soft, hard, block, render."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what happened: every outcome of every attempt, oldest first.

    Examples:

    - `jetpost events spring-sale --recipient ada@example.com` is the story of one recipient.
    - `jetpost events spring-sale --type bounced --json | jq -r .recipient` lists the addresses that do not exist.
    - `jetpost events --follow --class block` waits for providers that refuse us.
    """
    for kind in types or ():
        _known("type", kind, _TYPES)
    _known("mailbox provider", provider, providers.PROVIDERS)
    wanted = _Wanted(set(types or ()), recipient, provider, failure_class)
    run(_show(campaign, wanted, follow, as_json))


def _known(what: str, value: str | None, known: Collection[str]) -> None:
    """Raises `Fault` for a word that no event has, which would only find nothing."""
    if value is not None and value not in known:
        meant = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {meant[0]}?" if meant else f"there are {', '.join(known)}"
        raise Fault(f"{value!r} is no {what} of events; {hint}")


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
                if as_json:
                    typer.echo(_as_json(fact))
                else:
                    out.print(as_line(fact))


def _as_json(fact: facts.Fact) -> str:
    fields = {"type": facts.type_of(fact), **{name: getattr(fact, name) for name in fact.__struct_fields__}}
    return msgspec.json.encode(fields).decode()


def as_line(fact: facts.Fact) -> str:
    kind = facts.type_of(fact)
    colour = COLOURS.get(kind, "blue" if kind == "deferred" else _CAMPAIGN_COLOUR)
    clock = time.strftime("%H:%M:%S", time.localtime(fact.at))
    return f"[dim]{clock}[/] [{colour}]{kind:<16}[/] {_details(fact)}"


def _details(fact: facts.Fact) -> str:
    if not isinstance(fact, facts.MAIL_FACTS):
        hidden = ("campaign", "at")
        rest = "  ".join(f"{name}={getattr(fact, name)}" for name in fact.__struct_fields__ if name not in hidden)
        return plain(f"{fact.campaign}  {rest}")
    attempt = f"attempt {fact.attempt}" if fact.attempt else "not tried"
    reply = " ".join(str(part) for part in (getattr(fact, "code", ""), getattr(fact, "reply", "")) if part)
    why = getattr(fact, "failure_class", "") or getattr(fact, "reason", "")
    return plain(f"{fact.recipient:<40} {fact.provider:<9} {attempt}  {why}  {reply}".rstrip())
