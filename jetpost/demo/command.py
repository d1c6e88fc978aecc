"""`jetpost demo`: the command."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from jetpost import logs
from jetpost.cli.state import out
from jetpost.demo import run as demo
from jetpost.logs import LogSettings

_QUIET: Final = LogSettings(level="warning")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", rich_help_panel="Start here")(_demo)


def _demo(  # noqa: PLR0913, PLR0917 - options of a command
    recipients: Annotated[int, typer.Option("--recipients", "-n", min=1, help="How many people to write to.")] = 20_000,
    senders: Annotated[int, typer.Option(min=1, help="Sender processes.")] = 1,
    producers: Annotated[int, typer.Option(min=1, help="Producer processes.")] = 1,
    leave: Annotated[bool, typer.Option("--exit", help="Stop at the end instead of keeping the dashboard up.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file.", dir_okay=False, show_default=False)
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--keep", help="Keep data and logs in this folder; by default they go at the end.", show_default=False
        ),
    ] = None,
    sync: Annotated[
        str, typer.Option(help="How often JetStream syncs to disk: `always` survives a power failure, `2m` is faster.")
    ] = "2m",
    seed: Annotated[int, typer.Option(help="Another seed makes other people.")] = 1,
) -> None:
    """Send a whole campaign through every part of the system, and check the books at the end.

    Starts an embedded NATS JetStream, ClickHouse, a mailbox simulator, producers, senders and the dashboard, each as the
    process that it is in production; makes up an audience; renders, queues and delivers a personalised newsletter of
    10 KB. Some mailboxes are full, unknown, greylisted, slow or rude, as in life. No mail leaves this machine.

    Exit code 1: the ledger did not balance, or did not agree with what the simulator took.
    """
    logs.configure(_QUIET, "demo")
    options = demo.Options(
        recipients=recipients, senders=senders, producers=producers, seed=seed, stay=not leave, sync_interval=sync
    )
    with contextlib.ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jetpost-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            report = asyncio.run(demo.run(options, folder, out, json_file))
        except asyncio.CancelledError:
            raise typer.Exit(130) from None
    raise typer.Exit(0 if report.balanced else 1)
