"""`jetpost producer|sender|ingester|bounces|web run`, and `jetpost setup`: each component as a process of its own."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from jetpost import locating, process, provision, stack
from jetpost.cli.state import Fault, configured, out, run
from jetpost.settings import Effective, Settings

_HELP: Final = {
    "producer": "Render the mails of waiting batches and queue them.",
    "sender": "Deliver queued mails to the relays of its pools.",
    "ingester": "Write events to ClickHouse, and close campaigns that are done.",
    "bounces": "Take bounce mail by LMTP or SMTP, from a Maildir, or by IMAP.",
    "web": "Serve the dashboard and the API.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = {"producer": _producer, "sender": _sender, "ingester": _ingester, "bounces": _bounces, "web": _web}
    for name, command in commands.items():
        group = typer.Typer(help=_HELP[name], no_args_is_help=True)
        group.callback()(_group)  # keeps `run` a subcommand although it is the only one
        group.command("run", help=f"{_HELP[name]} Runs until SIGTERM.")(command)
        app.add_typer(group, name=name, rich_help_panel="Components")
    app.command("setup", rich_help_panel="Components")(_setup)


def _group() -> None:
    """A component."""


def _producer() -> None:
    from jetpost.components import producer  # noqa: PLC0415 - a process loads its own component alone

    process.run("producer", configured(), producer.run)


def _sender() -> None:
    from jetpost.components import sender  # noqa: PLC0415 - the same

    process.run("sender", configured(), sender.run)


def _ingester() -> None:
    from jetpost.components import ingester  # noqa: PLC0415 - the same

    process.run("ingester", _with_a_server(configured()), ingester.run)


def _bounces() -> None:
    from jetpost.components import bounces  # noqa: PLC0415 - the same

    process.run("bounces", configured(), bounces.run)


def _web(
    with_ingester: Annotated[
        bool,
        typer.Option("--with-ingester", help="Run the ingester in this process, too, as embedded ClickHouse needs."),
    ] = False,
) -> None:
    from jetpost.components import web  # noqa: PLC0415 - the same

    found = configured()
    if found.settings.web.serve == "public" and not with_ingester:
        process.run("web", found, web.run)
    elif with_ingester:
        settings = found.settings if _names_clickhouse(found) else stack.clickhouse_inside(found.settings)
        process.run("web", found._replace(settings=settings), web.run_with_ingester, beside=["ingester"])
    else:
        process.run("web", _with_a_server(found), web.run)


def _setup(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for servers that do not answer yet.")] = 0,
) -> None:
    """Create or update streams on NATS and tables in ClickHouse. Harmless to repeat; run it at every upgrade.

    `jetpost up` does so by itself. Tables of an embedded ClickHouse are made by the process that has it.
    """
    found = configured()
    settings = locating.located(found).settings
    with locating.reaching(found):
        run(provision.within(wait, lambda: provision.streams(settings.nats)))
    out.print("Streams are as this release needs them.")
    if _embeds_clickhouse(settings):
        out.print("No ClickHouse server is set (analytics.clickhouse.url).")
        return
    from jetpost.components import clickhouse  # noqa: PLC0415 - the same

    run(provision.within(wait, lambda: clickhouse.migrate(settings.analytics)))
    out.print("Tables are as this release needs them.")


def _names_clickhouse(found: Effective) -> bool:
    return found.is_set("analytics", "clickhouse", "url")


def _embeds_clickhouse(settings: Settings) -> bool:
    return settings.analytics.clickhouse.url.startswith("chdb:")


def _with_a_server(found: Effective) -> Effective:
    """Two processes cannot share an embedded ClickHouse."""
    if _embeds_clickhouse(found.settings):
        raise Fault(
            "ingester and web as processes of their own need a ClickHouse server: set analytics.clickhouse.url, or run both"
            " in one process, on an embedded ClickHouse: jetpost web run --with-ingester"
        )
    return found
