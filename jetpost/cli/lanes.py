"""`jetpost lanes`: how fast each pool may send to each mailbox provider, why that is slow, and what a person sets instead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from events import lanes
from events.bus import Bus
from events.lanes import EVERY, LaneNow
from events.pace import Pace
from events.providers import PROVIDERS
from jetpost.cli.choosing import as_json
from jetpost.cli.state import Fault, bus, effective, out, run
from jetpost.display import plain
from sender.adaptive import slowing
from sender.settings import Relay
from sender.throttle.keeper import Keeper
from sender.throttle.limits import NONE, Limits
from sender.throttle.state import State, lane_key, pool_key

_WATCH_SECONDS: Final = 1.0
_COLOURS: Final = {"paused": "red", "slow": "yellow", "set": "cyan", "limited": "white", "free": "bright_black"}

_Pool = Annotated[str, typer.Argument(help="The pool, such as default.", show_default=False)]
_Provider = Annotated[
    str, typer.Argument(help=f"The mailbox provider, such as gmail; `{EVERY}`: the whole pool.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True, help="How fast each lane may go, and why it is slow: limit, clear."
    )
    group.callback()(_list)
    group.command("limit")(_limit)
    group.command("clear")(_clear)
    app.add_typer(group, name="lanes", rich_help_panel="Pools")


def _list(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing, until Ctrl-C.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Lanes that nothing limits, too.")] = False,
    as_json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, of all lanes.")] = False,
) -> None:
    """Every lane that something limits: how fast it may go now, why, since when, and when it has its usual limit again.

    A lane is a pool's mails for one mailbox provider. `jetpost lanes --watch` keeps showing.
    """
    if context.invoked_subcommand is not None:
        return
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            run(_watch(everything))
        return
    found = run(_read_once())
    if as_json_lines:
        for lane in found:
            typer.echo(as_json(_fields(lane)))
        return
    out.print(_told(found, everything))


async def _watch(everything: bool) -> None:
    async with bus() as connected:
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(_told(await _read(connected), everything), refresh=True)
                await asyncio.sleep(_WATCH_SECONDS)


async def _read_once() -> list[LaneNow]:
    async with bus() as connected:
        return await _read(connected)


async def _read(connected: Bus) -> list[LaneNow]:
    """All lanes of the pools in the settings, and others that are known."""
    pools = effective().settings.sender.pools
    known, now = await lanes.read(connected), await connected.server_time()
    names = {(pool, provider) for pool in pools for provider in (EVERY, *PROVIDERS)} | set(known)
    found = []
    for pool, provider in sorted(names, key=_order):
        limits = _limits(pools.get(pool), provider)
        pace = known.get((pool, provider), Pace())
        found.append(lanes.look(pool, provider, pace, now, limits.rate, limits.connections))
    return found


def _order(name: tuple[str, str]) -> tuple[str, int]:
    pool, provider = name
    return pool, [EVERY, *PROVIDERS].index(provider) if provider in (EVERY, *PROVIDERS) else len(PROVIDERS) + 1


def _limits(relay: Relay | None, provider: str) -> Limits:
    if relay is None:
        return NONE
    return relay.limits if provider == EVERY else dict(relay.lanes).get(provider, NONE)  # type: ignore[call-overload]


def _limit(
    pool: _Pool,
    provider: _Provider,
    rate: Annotated[float, typer.Argument(min=0.001, help="Mails per second, of all senders together.")],
    fixed: Annotated[
        bool, typer.Option("--fixed", help="Stay at this rate whatever the provider says of it; pauses are kept to.")
    ] = False,
) -> None:
    """Set the limit of a lane in place of the one in the settings, and forget what slowed it down. Holds at once, in all senders.

    `jetpost lanes limit default gmail 20`
    """
    run(_change(pool, provider, lambda now: slowing.override(rate, now, fixed=fixed)))


def _clear(pool: _Pool, provider: _Provider) -> None:
    """Forget what slowed a lane down or paused it, and what was set: it has the limit of the settings again, at once.

    `jetpost lanes clear default gmail`
    """
    run(_change(pool, provider, lambda _: Pace()))


async def _change(pool: str, provider: str, pace: Any) -> None:  # noqa: ANN401
    key = _key(pool, provider)
    async with bus() as connected:
        now = await connected.server_time()

        def transition(state: State) -> State:
            return msgspec.structs.replace(state, pace=pace(now))

        await Keeper(connected).change(key, transition)
        out.print(
            _told([lane for lane in await _read(connected) if (lane.pool, lane.provider) == (pool, provider)], True)
        )


def _key(pool: str, provider: str) -> str:
    """Raises `Fault` where there is no such lane."""
    pools = effective().settings.sender.pools
    if pool not in pools:
        raise Fault(f"there is no pool {pool!r} in the settings; there are {', '.join(pools)}")
    if provider not in (EVERY, *PROVIDERS):
        raise Fault(f"{provider!r} is no mailbox provider: say {', '.join(PROVIDERS)}, or {EVERY} for the whole pool")
    return pool_key(pool) if provider == EVERY else lane_key(pool, provider)


def _told(found: Sequence[LaneNow], everything: bool) -> Group:
    shown = [lane for lane in found if everything or lane.condition != "free" or lane.connections is not None]
    if not shown:
        return Group("Nothing limits any lane. `jetpost lanes --all` names them.")
    return Group(*(Text.from_markup(line) for lane in shown for line in _lines(lane)))


def _lines(lane: LaneNow) -> list[str]:
    colour = _COLOURS[lane.condition]
    parts = [
        f"{plain(lane.name):<22} [{colour}]{lane.condition:<8}[/]",
        f"{_rate(lane):<22}",
        _connections(lane),
        *_times(lane),
    ]
    first = "  ".join(part for part in parts if part).rstrip()
    return [first] if lane.why is None else [first, f"    [dim]{plain(str(lane.why))}[/]"]


def _rate(lane: LaneNow) -> str:
    if lane.rate is None:
        return "no limit"
    usual = "" if lane.usual_rate in (None, lane.rate) else f" of {_number(lane.usual_rate)}/s"
    return f"{_number(lane.rate)}/s{usual}{', fixed' if lane.fixed else ''}"


def _number(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _connections(lane: LaneNow) -> str:
    if lane.connections is None:
        return ""
    usual = f" of {lane.usual_connections}" if lane.usual_connections not in (None, lane.connections) else ""
    return f"{lane.connections}{usual} connections"


def _times(lane: LaneNow) -> list[str]:
    told = [] if lane.since is None else [f"since {_clock(lane.since)}"]
    if lane.paused_until is not None:
        told.append(f"paused until {_clock(lane.paused_until)}")
    if lane.until is not None and lane.until != lane.paused_until:
        goal = "no limit" if lane.usual_rate is None else f"{_number(lane.usual_rate)}/s"
        told.append(f"{goal} again at {_clock(lane.until)}")
    return told


def _clock(at: float) -> str:
    """In the zone of this machine."""
    return time.strftime("%H:%M:%S" if abs(at - time.time()) < 43_200 else "%Y-%m-%d %H:%M", time.localtime(at))


def _fields(lane: LaneNow) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(lane, name)) for name in lane.__struct_fields__}
