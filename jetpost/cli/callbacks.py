"""`jetpost callbacks`: what ESPs told that nobody understood, and letting it be read again."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from events import facts, parked
from events.bus import Bus
from events.errors import BusError
from events.parked import Parked, Wanted
from jetpost.cli import listing
from jetpost.cli.choosing import as_json, be_sure, clock_time, moment, plural
from jetpost.cli.listing import Listing
from jetpost.cli.state import Fault, bus, out, run
from jetpost.display import plain

if TYPE_CHECKING:
    from analytics.hearing.understanding import Understanding, Understood

_KIND: Final = ("esp", "endpoint", "reason")
_MAX_SHOWN: Final = 20_000

_Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="[NUMBER]...", help="Only these, as `jetpost callbacks list` numbers them."),
]
_Esp = Annotated[str | None, typer.Option(help="Only of this ESP, such as sendgrid; mail: bounces that came by mail.")]
_Endpoint = Annotated[str | None, typer.Option(help="Only of this endpoint, by its name in the settings.")]
_Since = Annotated[str | None, typer.Option(help="Only come since then: 2h, 7d, 2026-03-01 or 2026-03-01T12:30 (UTC).")]
_Until = Annotated[str | None, typer.Option(help="Only come until then.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What ESPs told and nobody understood: list, show, replay.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("replay")(_replay)
    app.add_typer(group, name="callbacks", rich_help_panel="Mails that need you")


def _list(
    esp: _Esp = None,
    endpoint: _Endpoint = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=0, help="Show this many, the newest; counts are of all.")] = 20,
    as_json_lines: _Json = False,
) -> None:
    """Count and list the callbacks that nobody understood, by the reason. Each has a number."""
    run(_print_list(_wanted(None, esp, endpoint, since, until), limit, as_json_lines))


async def _print_list(wanted: Wanted, limit: int, as_json_lines: bool) -> None:
    how = Listing("callbacks", _KIND, "Nothing that matches is parked.", _kind, _line, _fields)
    async with bus() as connected:
        await listing.show(parked.matching(connected, wanted), how, limit, as_json_lines)


def _kind(found: Parked) -> tuple[str, ...]:
    return found.callback.esp, found.callback.endpoint, found.callback.reason


def _show(
    number: Annotated[int, typer.Argument(help="As `jetpost callbacks list` numbers it.", show_default=False)],
    raw: Annotated[bool, typer.Option("--raw", help="Print the body itself, byte by byte as it came.")] = False,
    as_json_lines: _Json = False,
) -> None:
    """Show one callback as it came, and what this release makes of it.

    `jetpost callbacks show NUMBER --raw > body.json` is for `jetpost inspect webhook ESP < body.json`.
    """
    run(_print_one(number, raw, as_json_lines))


async def _print_one(number: int, raw: bool, as_json_lines: bool) -> None:
    async with bus() as connected:
        (found,) = await _chosen(connected, Wanted(sequences=frozenset({number})))
        understanding = _understanding(connected)
        if as_json_lines:
            typer.echo(as_json(_fields(found) | {"would_become": await _verdict(understanding, found)}))
            return
        body = await _body(understanding, found)
        if raw:
            typer.get_binary_stream("stdout").write(body)
            return
        out.print(_line(found))
        for name, value in found.callback.headers.items():
            out.print(f"  [dim]{plain(name)}[/]: {plain(value)}")
        out.print("", *(plain(line) for line in _readable(body).splitlines()), "", sep="\n")
        out.print(f"Now: {plain(await _verdict(understanding, found))}")


def _understanding(connected: Bus) -> Understanding:
    from analytics.hearing.understanding import Understanding  # noqa: PLC0415 - `cryptography` is for who reads callbacks

    return Understanding(connected, time.time)


async def _body(understanding: Understanding, found: Parked) -> bytes:
    """Raises `Fault`."""
    try:
        return await understanding.body_of(found.callback)
    except BusError:
        raise
    except Exception as error:
        raise Fault(f"the body of callback {found.sequence} cannot be read: {type(error).__name__}: {error}") from error


def _readable(body: bytes) -> str:
    """As people like to read it, cut where it is long."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        body = msgspec.json.format(body, indent=2)
    text = body[:_MAX_SHOWN].decode("utf-8", "replace")
    return text if len(body) <= _MAX_SHOWN else f"{text}\n… {len(body) - _MAX_SHOWN:,} more bytes: --raw prints all"


def _replay(
    numbers: _Numbers = None,
    esp: _Esp = None,
    endpoint: _Endpoint = None,
    since: _Since = None,
    until: _Until = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what each would become, with this release.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let ingesters read callbacks again that nobody understood, such as after an upgrade.

    What still cannot be understood is parked again, with the new reason. Nothing counts twice, and giving the command twice does
    no harm.

    `jetpost callbacks replay --esp sendgrid --dry-run`
    """
    run(_replay_all(_wanted(numbers, esp, endpoint, since, until), dry_run, yes))


async def _replay_all(wanted: Wanted, dry_run: bool, yes: bool) -> None:
    async with bus() as connected:
        found = await _chosen(connected, wanted)
        if dry_run:
            await _foretell(connected, found)
        elif found:
            be_sure(f"Let {plural(len(found), 'callback')} be read again?", yes)
            stored = await parked.put_back(connected, found)
            out.print(f"{plural(stored, 'callback')} will be read again, within about a second where an ingester runs.")
            if stored < len(found):
                out.print(f"{plural(len(found) - stored, 'callback')} had been put back already, moments ago.")
        if not found:
            out.print("Nothing that matches is parked.")


async def _foretell(connected: Bus, found: list[Parked]) -> None:
    understanding = _understanding(connected)
    for one in found:
        out.print(f"{_line(one)}\n    → {plain(await _verdict(understanding, one))}")
    out.print(f"{plural(len(found), 'callback')} would be read again.")


async def _verdict(understanding: Understanding, found: Parked) -> str:
    """What a callback would become now, in words."""
    try:
        return _told(await understanding.of(found.callback))
    except BusError:
        raise
    except Exception as error:
        return f"parked again: {type(error).__name__}: {error}"


def _told(understood: Understood) -> str:
    counted = Counter(facts.type_of(fact) for fact in understood.facts)
    said = [f"{number:,} {kind}" for kind, number in counted.items()]
    said += [f"{number:,} {result.replace('_', ' ')}" for result, number in _results(understood).items()]
    if understood.entries:
        said.append(f"{len(understood.entries):,} suppressed")
    if understood.confirm:
        said.append("a subscription confirmed")
    if understood.fault:
        said.append(f"parked again for a part of it: {understood.fault}")
    return ", ".join(said) or "nothing that counts"


def _results(understood: Understood) -> Counter[str]:
    return Counter(result for _, result in understood.counts)


async def _chosen(connected: Bus, wanted: Wanted) -> list[Parked]:
    """Raises `Fault` where a number that was given is not there."""
    found = [one async for one in parked.matching(connected, wanted)]
    missing = (wanted.sequences or frozenset()) - {one.sequence for one in found}
    if missing:
        raise Fault(f"no callback that matches is parked as {', '.join(map(str, sorted(missing)))}")
    return found


def _wanted(
    numbers: list[int] | None, esp: str | None, endpoint: str | None, since: str | None, until: str | None
) -> Wanted:
    now = time.time()
    return Wanted(
        sequences=frozenset(numbers) if numbers else None,
        esp=esp,
        endpoint=endpoint,
        since=moment(since, now),
        until=moment(until, now),
    )


def _fields(found: Parked) -> dict[str, Any]:
    """Everything but the body."""
    callback = found.callback
    named = ("esp", "endpoint", "received_at", "headers", "reason")
    return {"number": found.sequence} | {name: getattr(callback, name) for name in named}


def _line(found: Parked) -> str:
    callback = found.callback
    told = f"{found.sequence:>8}  {callback.esp}/{callback.endpoint}  {callback.reason}"
    return f"[dim]{clock_time(callback.received_at)}[/] {plain(told)}"
