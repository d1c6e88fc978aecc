"""`jetpost suppression`: who gets no mail."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import typer

from events import suppression_book
from events.suppression import REASONS, Entry, Hashing, Reason, Removal, read_spelled, spell, suppress
from jetpost.cli import suppression_files
from jetpost.cli.choosing import as_json, clock_time, counts, plural
from jetpost.cli.state import Fault, bus, out, run
from jetpost.cli.suppression_files import (
    Expires,
    ListName,
    OnlyList,
    Why,
    hashing,
    known_reason,
    reason_by_hand,
    require_list,
    until,
)
from jetpost.display import plain
from producer.recipients.addresses import BadAddress, normalise

_Addresses = Annotated[list[str], typer.Argument(help="Addresses.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Who gets no mail: add, remove, check, import, export, list, stats, compact.", no_args_is_help=True
    )
    for name, command in (
        ("add", _add),
        ("remove", _remove),
        ("check", _check),
        ("import", suppression_files.import_),
        ("export", suppression_files.export),
        ("list", _print_list),
        ("stats", _stats),
        ("compact", _compact),
    ):
        group.command(name)(command)
    app.add_typer(group, name="suppression", rich_help_panel="Recipients")


def _add(
    addresses: _Addresses,
    list_: ListName = "",
    reason: Why = "manual",
    expires: Expires = None,
    source: Annotated[str, typer.Option(help="Who says so; kept with the entry.")] = "cli",
) -> None:
    """Send these addresses no more mail, within about a second, mails that wait in the queue included.

    `jetpost suppression add ann@example.com --reason complaint`
    """
    now = time.time()
    end = until(expires, now)
    why = reason_by_hand(reason)
    require_list(list_)
    run(_say([Entry(one, why, now, source, list_, end) for one in _normalised(addresses)]))
    out.print(f"{', '.join(addresses)}: no more mail{_of(list_)}", markup=False)


def _remove(
    addresses: _Addresses, list_: ListName = "", source: Annotated[str, typer.Option(help="Who says so.")] = "cli"
) -> None:
    """Let these addresses get mail again: takes back what was said of them so far, for one list or for all.

    `jetpost suppression remove ann@example.com --list news`
    """
    require_list(list_)
    for address, before in run(_take_back(_normalised(addresses), list_, source)).items():
        out.print(_told_of_removal(address, list_, before))


async def _take_back(addresses: Sequence[str], list_: str, source: str) -> dict[str, dict[str, Reason]]:
    """Removes those who are on the list; why each was suppressed before, by list."""
    ours = hashing()
    keys = [ours.key(address) for address in addresses]
    async with bus() as connected:
        found = await suppression_book.reasons_of(connected, ours, keys, time.time)
        before, now = dict(zip(addresses, found, strict=True)), time.time()
        removals = [Removal(address, now, source, list_) for address, lists in before.items() if list_ in lists]
        await suppress(connected, removals, ours)
    return before


def _told_of_removal(address: str, list_: str, before: Mapping[str, Reason]) -> str:
    rest = ", ".join(f"no mail{_of(name)} ({_words(reason)})" for name, reason in before.items() if name != list_)
    if list_ not in before:
        return f"{plain(address)} was not suppressed{f' for {list_}' if list_ else ''}{rest and f'; gets {rest}'}"
    if rest:
        return f"{plain(address)} is off the list {f'of {list_}' if list_ else 'for all'}; still gets {rest}"
    return f"{plain(address)} gets mail again{_of(list_)}"


async def _say(said: Sequence[Entry]) -> None:
    async with bus() as connected:
        await suppress(connected, said, hashing())


def _check(
    address: Annotated[str, typer.Argument(help="An address, or a hash of an export.")], json: _Json = False
) -> None:
    """Whether an address is suppressed, and all that was said of it. Exit code 1 where it is suppressed.

    `jetpost suppression check ann@example.com`
    """
    ours = hashing()
    key = ours.key(_normalised([address])[0]) if "@" in address else _spelled(address, ours)
    told = run(_told_of(key, ours))
    if json:
        for entry in told.in_force:
            typer.echo(as_json(_fields(entry, ours)))
    else:
        _show(address, told)
    raise typer.Exit(1 if told.in_force else 0)


async def _told_of(key: bytes, ours: Hashing) -> suppression_book.Told:
    async with bus() as connected:
        return await suppression_book.told_of(connected, ours, key, time.time)


def _show(address: str, told: suppression_book.Told) -> None:
    for entry in told.in_force:
        out.print(f"[red]{plain(address)} gets no mail{_of(entry.list)}[/]: {_because(entry)}")
    if not told.in_force:
        out.print(f"[green]{plain(address)} is not suppressed[/]")
    for one in told.said:
        what = _because(one) if isinstance(one, Entry) else "removed"
        out.print(f"[dim]{clock_time(one.at)}[/] {what}{_of(one.list) if one.list else ''}{_by(one.source)}")


def _print_list(
    list_: OnlyList = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="REASON", help=f"Only for this reason: {', '.join(REASONS)}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: _Json = False,
) -> None:
    """List entries in force, the oldest first."""
    ours = hashing()
    if reason is not None:
        known_reason(reason)
    shown = run(_first(list_, reason, limit + 1, ours))
    for entry in shown[:limit]:
        if json:
            typer.echo(as_json(_fields(entry, ours)))
        else:
            who = entry.address or spell(entry.key, ours)
            out.print(
                f"[dim]{clock_time(entry.at)}[/] {plain(who):<40} {_because(entry)}{_of(entry.list)}{_by(entry.source)}"
            )
    if not json and not shown:
        out.print("Nobody is suppressed." if list_ is None and reason is None else "There is no such entry.")
    if not json and len(shown) > limit:
        out.print("… --limit shows more")


async def _first(list_: str | None, reason: str | None, limit: int, ours: Hashing) -> list[Entry]:
    found: list[Entry] = []
    async with bus() as connected, aclosing(suppression_book.standing(connected, ours, time.time)) as standing:
        async for entry in standing:
            if list_ in (None, entry.list) and reason in (None, entry.reason):
                found.append(entry)
                if len(found) == limit:
                    break
    return found


def _stats() -> None:
    """Count entries by list and reason."""
    found = run(_counts())
    if found.in_force:
        out.print(counts("entries", found.in_force, ("list", "reason")))
    else:
        out.print("Nobody is suppressed.")
    if found.expired:
        out.print(f"{found.expired:,} more have expired; `jetpost suppression compact` takes them out")


async def _counts() -> suppression_book.Counts:
    async with bus() as connected:
        found = await suppression_book.count(connected, hashing(), time.time)
    named = {(list_ or "(all)", reason): number for (list_, reason), number in found.in_force.items()}
    return found._replace(in_force=type(found.in_force)(named))


def _compact() -> None:
    """Make the stream as short as what it says allows; safe at any time, such as every night."""
    run(_compact_now())


async def _compact_now() -> None:
    async with bus() as connected:
        done = await suppression_book.compact(connected, hashing(), time.time)
    now = plural(done.messages_now, "message")
    out.print(
        f"{done.entries:,} {'entry' if done.entries == 1 else 'entries'} in {now}, {done.messages_before:,} before"
    )


# What they share


def _normalised(addresses: Iterable[str]) -> list[str]:
    try:
        return [normalise(one).address for one in addresses]
    except BadAddress as error:
        raise Fault(str(error)) from None


def _spelled(text: str, ours: Hashing) -> bytes:
    if ":" not in text:
        raise Fault(f"{text!r} is not an address, which has an @, nor a hash of `jetpost suppression export`")
    try:
        return read_spelled(text, ours)
    except ValueError as error:
        raise Fault(f"{text!r} is not an address, and no hash that this list has: {error}") from None


def _fields(entry: Entry, ours: Hashing) -> dict[str, Any]:
    shown = {name: getattr(entry, name) for name in ("address", "reason", "at", "source", "list", "expires_at")}
    return shown if entry.address else shown | {"hash": spell(entry.key, ours)}


def _because(entry: Entry) -> str:
    ends = "" if entry.expires_at is None else f" until {clock_time(entry.expires_at)}"
    return f"{_words(entry.reason)}{ends}"


def _words(reason: Reason) -> str:
    return reason.replace("_", " ")


def _of(list_: str) -> str:
    return f" of {list_}" if list_ else ""


def _by(source: str) -> str:
    return f"  [dim]{plain(source)}[/]" if source else ""
