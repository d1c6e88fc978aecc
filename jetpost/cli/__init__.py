"""The command line: `jetpost …`. Each file holds the commands of one kind; this one holds what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from analytics.errors import AnalyticsError
from events.errors import BusError
from jetpost import version
from jetpost.cli import (
    backup,
    breaker,
    callbacks,
    campaigns,
    components,
    dkim,
    dlq,
    doubts,
    events,
    files,
    inspection,
    lanes,
    permissions,
    probing,
    rebuild,
    reconcile,
    retries,
    routes,
    schedule,
    server,
    settings,
    suppression,
    waiting,
    warmup,
)
from jetpost.cli.state import remember_settings_file
from jetpost.demo import command as demo
from jetpost.errors import Fault
from jetpost.simulator import command as simulator
from producer.errors import ProducerError
from sender.errors import SenderError

app: Final = typer.Typer(
    name="jetpost",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="""
**Jetpost** delivers email campaigns to millions of recipients, and accounts for every one of them.

New here? `jetpost demo` sends a whole campaign through every part of the system, to a mailbox simulator.

For real mail: `jetpost up` starts everything on this machine; `jetpost check campaign.toml` and
`jetpost preview campaign.toml` look before you leap; `jetpost send campaign.toml` sends; `jetpost status --watch` shows.
""",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jetpost {version.VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="JETPOST_CONFIG",
            help="Settings file; by default jetpost.toml in the working directory, if there is one.",
            show_default=False,
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    remember_settings_file(config)


for commands in (
    demo,
    server,
    files,
    campaigns,
    events,
    waiting,
    reconcile,
    doubts,
    dlq,
    retries,
    callbacks,
    routes,
    suppression,
    schedule,
    breaker,
    lanes,
    warmup,
    components,
    permissions,
    probing,
    inspection,
    rebuild,
    backup,
    simulator,
    dkim,
    settings,
):
    commands.register(app)


def main() -> None:
    """The entry point: every expected fault becomes one clear message and exit code 2."""
    try:
        app()
    except (Fault, BusError, ProducerError, AnalyticsError, SenderError) as error:
        typer.secho(f"jetpost: {error}", fg="red", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
