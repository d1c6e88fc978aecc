"""`jetpost config`: the effective settings and where each came from."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from jetpost import settings as all_settings
from jetpost.cli.state import effective, out
from jetpost.settings_tree import ANY, Leaf, is_secret, leaves, type_name

_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)([^:/@\s]*):[^@/\s]+@")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("config", rich_help_panel="Settings")(_config)


def _config(
    everything: Annotated[bool, typer.Option("--all", help="Also settings at their default.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="What every setting is for.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the effective settings and where each came from. Secrets are never shown.

    A setting such as `nats.url` is set by `[nats] url = "…"` in the settings file (`jetpost.toml`, or `--config FILE`), or
    by the variable `JETPOST_NATS_URL`, which wins.
    """
    if explain:
        out.print(documentation(), markup=False)
        return
    found = effective()
    rows = [
        (".".join(path), shown(path, value), found.origins.get(path, "default"))
        for path, value in all_settings.effective_values(found.settings)
        if everything or as_json or path in found.origins
    ]
    if as_json:
        document = {key: {"value": value, "origin": origin} for key, value, origin in rows}
        out.print(msgspec.json.format(msgspec.json.encode(document)).decode(), markup=False)
        return
    if not rows:
        out.print("Everything is at its default; `jetpost config --all` shows the defaults.")
        return
    table = Table("Setting", "Value", "Origin", box=None, header_style="bold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def shown(path: tuple[str, ...], value: object) -> str:
    """A value as it may be shown: never a secret, nor a password within an address."""
    if is_secret(path):
        return "(set, not shown)" if value else "(not set)"
    return _PASSWORD_IN_URL.sub(r"\1:***@", _plain(value))


def _plain(value: Any) -> str:  # noqa: ANN401 - settings are of many types
    match value:
        case bool():
            return str(value).lower()
        case None:
            return ""
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def documentation() -> str:
    """The table of all settings, as Markdown: docs/settings.md."""
    lines = [
        "| Setting | Variable | Type | Default | What it is for |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(leaf) for leaf in leaves(all_settings.Settings)]
    return "\n".join(lines)


def _row(leaf: Leaf) -> str:
    default = "" if leaf.default is msgspec.NODEFAULT or leaf.secret else _plain(leaf.default)
    key = leaf.key.replace(ANY, "NAME")
    variable = leaf.variable.replace(ANY, "NAME")
    doc = leaf.doc.replace("|", "\\|")
    shown_default = f"`{default}`" if default else ""
    return f"| `{key}` | `{variable}` | {type_name(leaf.type)} | {shown_default} | {doc} |"
