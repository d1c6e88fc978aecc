"""`jetpost permissions`: a user of NATS for each component, as nats-server's configuration."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import typer

from events import permissions
from jetpost import nats_accounts
from jetpost.cli.state import Fault

Format: TypeAlias = Literal["nats-conf", "json"]

_is_size: Final = re.compile(r"\d+([KMGT](B|i|iB)?)?", re.IGNORECASE).fullmatch


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("permissions", rich_help_panel="Components")(_permissions)


def _permissions(
    shape: Annotated[
        Format, typer.Option("--format", help="`nats-conf`: a file for nats-server to include. `json`: for programs.")
    ] = "nats-conf",
    max_file: Annotated[
        str,
        typer.Option(
            help="What the store may hold, such as `200G`; by default what `NATS_MAX_FILE` in nats-server's environment says.",
            show_default=False,
        ),
    ] = "",
    with_ingester: Annotated[
        bool,
        typer.Option(
            "--with-ingester", help="The user web does the ingester's work, too: `jetpost web run --with-ingester`."
        ),
    ] = False,
) -> None:
    """Print accounts and users for your own NATS: each component may do there what it must, and no more.

    Passwords are variables, `NATS_PASSWORD_SENDER` for the user `sender`, which nats-server takes from its environment. The
    components say who they are by `nats.user` and `nats.password`.
    """
    if max_file and not _is_size(max_file):
        raise Fault(
            f"--max-file {max_file!r} is no size that nats-server knows: write for example 200G, or a number of bytes"
        )
    components = (
        permissions.together(permissions.WEB, permissions.INGESTER) if with_ingester else permissions.COMPONENTS
    )
    if shape == "json":
        typer.echo(msgspec.json.format(msgspec.json.encode(nats_accounts.document(components))))
    else:
        typer.echo(nats_accounts.configuration(max_file, components), nl=False)
