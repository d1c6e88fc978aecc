"""`jetpost warmup`: how far the lanes of new pools are warmed up, and what a plan would do."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
import typer

from events import warmup
from events.providers import PROVIDERS
from events.warmup import Day, Warmup
from jetpost.cli.choosing import as_json
from jetpost.cli.state import Fault, bus, effective, out, run
from sender.warmup import plan, simulation
from sender.warmup.settings import WarmupSettings

_Pool = Annotated[str, typer.Argument(help="The pool.", show_default=False)]
_Provider = Annotated[str, typer.Argument(help="Only this mailbox provider, such as gmail.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The warm-up of new pools: list, set, simulate.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("set")(_set)
    group.command("simulate")(_simulate)
    app.add_typer(group, name="warmup", rich_help_panel="Pools")


def _list(
    days: Annotated[int, typer.Option(min=0, help="Show so many days before today, too.")] = 0,
    as_json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all days.")] = False,
) -> None:
    """Where each lane is in its plan, what it may send today and has sent, and how its last day went."""
    found, today = run(_read()), warmup.day_of(time.time())
    if as_json_lines:
        for one in found:
            typer.echo(as_json(_fields(one, today)))
        return
    if not found:
        out.print(_none_yet())
        return
    for one in found:
        out.print(_line(one, today))
        for day in one.days[-days:] if days else ():
            out.print(f"[dim]    {_date(day)}  {_mails(day.allowance)} allowed, {day.mails:,} sent: {day.verdict}[/]")


def _none_yet() -> str:
    warming = sorted(name for name, relay in effective().settings.sender.pools.items() if relay.warmup.enabled)
    if warming:
        return f"Nothing has been sent yet through {', '.join(warming)}: a lane begins with its first mail."
    return "No pool is being warmed up. Set sender.pools.NAME.warmup.enabled for a new one."


def _set(
    pool: _Pool,
    provider: _Provider = "",
    day: Annotated[int | None, typer.Option(min=1, help="Go on with this day of the plan.")] = None,
    warm: Annotated[bool, typer.Option("--warm", help="It is warm: no limit of this kind.")] = False,
) -> None:
    """Move lanes to another day of their plan, such as where a pool was warmed up elsewhere before.

    `jetpost warmup set main gmail --day 10`
    """
    if warm == (day is not None):
        raise Fault("say either --day N or --warm")
    run(_move(pool, provider, day))


async def _move(pool: str, provider: str, day: int | None) -> None:
    settings = _settings(pool)
    last = len(plan.steps(settings))
    if not settings.enabled:
        raise Fault(f"{pool} is not being warmed up: set sender.pools.{pool}.warmup.enabled first, and for its senders")
    if day is not None and day > last:
        raise Fault(f"the plan of {pool} has {last} days; after the last one a lane is warm: say --warm")
    if provider and provider not in PROVIDERS:
        raise Fault(f"{provider!r} is no mailbox provider: it is one of {', '.join(PROVIDERS)}")
    async with bus() as connected:
        for name in [provider] if provider else PROVIDERS:
            after = await warmup.change(
                connected,
                warmup.lane_key(pool, name),
                warmup.day_of(time.time()),
                lambda state: _moved(state, day, last),
            )
            out.print(_line(after, after.today.number))


def _moved(state: Warmup, day: int | None, last: int) -> Warmup:
    return msgspec.structs.replace(state, step=last if day is None else day, done=day is None)


def _simulate(
    pool: Annotated[str, typer.Option(help="With the plan of this pool; empty: the usual one.")] = "",
    volume: Annotated[int, typer.Option(min=1, help="Mails for one mailbox provider that are due each day.")] = (
        simulation.VOLUME
    ),
    days: Annotated[int, typer.Option(min=1, max=365, help="So many days.")] = simulation.DAYS,
) -> None:
    """What a plan does in 45 days in which things go wrong now and then, as a Markdown table."""
    settings = _settings(pool) if pool else WarmupSettings()
    typer.echo("| day | allowed | sent | waits or goes another way | what happened | verdict |")
    typer.echo("|---:|---:|---:|---:|---|---|")
    for row in simulation.simulate(settings, days=days, volume=volume):
        cells = (
            str(row.day),
            _mails(row.allowed),
            f"{row.counts.mails:,}",
            f"{row.left:,}",
            row.happening.words,
            _verdict(row),
        )
        typer.echo(f"| {' | '.join(cells)} |".replace("  ", " "))


def _verdict(row: simulation.Row) -> str:
    return row.counts.verdict or "no mails"


async def _read() -> list[Warmup]:
    """As they are today: what a day meant is known when somebody looks at it."""
    pools = effective().settings.sender.pools
    today = warmup.day_of(time.time())
    async with bus() as connected:
        found = await warmup.all_of(connected)
    return [
        plan.on(one, pools[pool].warmup, today)
        for one in found
        if (pool := one.lane.partition(".")[0]) in pools and pools[pool].warmup.enabled
    ]


def _settings(pool: str) -> WarmupSettings:
    pools = effective().settings.sender.pools
    if pool not in pools:
        raise Fault(f"there is no pool {pool!r} in the settings; there are: {', '.join(sorted(pools))}")
    return pools[pool].warmup


def _allowed(one: Warmup, today: int) -> int | None:
    return plan.allowance(one, _settings(one.lane.partition(".")[0]), today)


def _line(one: Warmup, today: int) -> str:
    pool, _, provider = one.lane.partition(".")
    where = "warm" if one.done else f"day {one.step}"
    before = f"; {_date(one.days[-1])}: {one.days[-1].verdict}" if one.days else ""
    return f"[bold]{pool} {provider}[/]  {where}  {_mails(_allowed(one, today))} allowed today, {one.today.mails:,} sent{before}"


def _fields(one: Warmup, today: int) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one)
    pool, _, provider = one.lane.partition(".")
    days = [{name: getattr(day, name) for name in Day.__struct_fields__} for day in (*one.days, one.today)]
    kept = {"step": found.get("step", 1), "done": one.done, "allowed_today": _allowed(one, today), "days": days}
    return {"pool": pool, "provider": provider, **kept}


def _mails(number: int | None) -> str:
    return "any number" if number is None else f"{number:,}"


def _date(day: Day) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day.number * warmup.DAY_SECONDS))
