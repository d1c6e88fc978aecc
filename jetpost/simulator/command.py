"""`jetpost simulator`: the mailbox simulator on its own, to try a relay's settings or a campaign against."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetpost.simulator import process, profiles
from jetpost.simulator.settings import Faults, SimulatorSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulator", rich_help_panel="Components")(_simulator)


def _simulator(  # noqa: PLR0913, PLR0917 - one parameter an option
    port: Annotated[int, typer.Option(help="For SMTP; 0: any free one.")] = 2525,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    slow: Annotated[float, typer.Option(help="Seconds that a +slow recipient takes.")] = 2,
    greylist: Annotated[float, typer.Option(help="Seconds that a +greylist recipient is turned away.")] = 3,
    latency: Annotated[float, typer.Option(help="Seconds before every reply.")] = 0,
    faults: Annotated[str, typer.Option(help="Misbehaviour at random, as JSON: '{\"hang\": 0.001}'.")] = "{}",
    profile: Annotated[str, typer.Option("--profiles", help=profiles.HELP)] = "",
    state_dir: Annotated[
        Path | None, typer.Option(help="Where ids of accepted mails go; default: nowhere lasting.")
    ] = None,
) -> None:
    """Take mail and deliver it nowhere, answering as the recipient's plus-tag asks: `ada+full@gmail.com`.

    Tags: slow, greylist, full, unknown, throttled, blocked, tempfail, drop, drop-accepted, drop-before. Listens on this
    machine only, unless `--host` says otherwise. Try it: set `sender.pools.default.port` to its port, or just run `jetpost demo`.
    """
    try:
        chosen = msgspec.json.decode(faults, type=Faults)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"--faults: {error}") from error
    try:
        providers = profiles.chosen(profile)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"--profiles: say usual, or a JSON object by provider: {error}") from error
    with tempfile.TemporaryDirectory(prefix="jetpost-simulator-") as temporary:
        settings = SimulatorSettings(
            state_dir=state_dir or Path(temporary),
            host=host,
            port=port,
            slow_seconds=slow,
            greylist_seconds=greylist,
            latency_seconds=latency,
            faults=chosen,
            profiles=providers,
        )
        process.run(settings)
