"""`jetpost config`, the effective settings and where each came from, and `jetpost metrics`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from jetpost import metrics, settings_schema
from jetpost import settings as all_settings
from jetpost.cli.state import effective, out
from jetpost.settings_tree import ANY, Leaf, leaves, type_name


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("config", rich_help_panel="Settings and metrics")(_config)
    app.command("metrics", rich_help_panel="Settings and metrics")(_metrics)


def _config(
    everything: Annotated[bool, typer.Option("--all", help="Also settings at their default.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="What every setting is for, as a Markdown table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="The JSON schema of the settings file, for editors.")
    ] = False,
) -> None:
    """Show the effective settings and where each came from. Secrets are never shown.

    A setting such as `nats.url` is set by `[nats] url = "…"` in the settings file (`jetpost.toml`, or `--config FILE`), or
    by the variable `JETPOST_NATS_URL`, which wins.
    """
    if explain:
        typer.echo(documentation())
        return
    if schema:
        typer.echo(msgspec.json.format(msgspec.json.encode(settings_schema.schema(all_settings.Settings))))
        return
    found = effective()
    rows = [
        (".".join(path), all_settings.display(path, value), found.origins.get(path, "default"))
        for path, value in all_settings.effective_values(found.settings)
        if everything or as_json or path in found.origins
    ]
    if as_json:
        document = {key: {"value": value, "origin": origin} for key, value, origin in rows}
        typer.echo(msgspec.json.format(msgspec.json.encode(document)))
    elif rows:
        typer.echo("\n".join(_aligned([(key, _plain(value), origin) for key, value, origin in rows])))
    else:
        out.print("Everything is at its default; `jetpost config --all` shows the defaults.")


def _metrics() -> None:
    """Show what every process tells Prometheus at `/metrics`, as a Markdown table.

    The addresses of a running stack's processes stand in `run.json` of `data_dir`.
    """
    typer.echo(metrics.documentation())


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    """Lines that a person can read and `grep` can search, however narrow the terminal."""
    key_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{key:<{key_width}}  {value:<{min(value_width, 40)}}  {origin}" for key, value, origin in rows]


def _plain(value: object) -> str:
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
    """The table of all settings, as Markdown: that of docs/settings.md."""
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
