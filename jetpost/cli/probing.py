"""`jetpost probe`: asks the probes of processes, for health checks, Jobs and scripts that have no HTTP client of their own."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from jetpost.cli.state import Fault, err, out
from jetpost.display import plain

_AGAIN_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 5.0
"""More than a probe takes to say no (`probes.PATIENCE_SECONDS`)."""
_SHOWN: Final = 500
"""Characters of an answer that is no probe's."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("probe", rich_help_panel="Components")(_probe)


def _probe(
    urls: Annotated[list[str], typer.Argument(help="Such as `http://127.0.0.1:9100/readyz`.", show_default=False)],
    wait: Annotated[float, typer.Option(min=0, help="Keep asking for so many seconds until all say yes.")] = 0,
) -> None:
    """Ask whether processes live (`/healthz`) or could work now (`/readyz`). Exit code 1 where one does not.

    Each process answers at its `metrics.port`, web processes at `web.port`, too.
    """
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise Fault(f"{url!r} is no address of a probe: say for example http://127.0.0.1:9100/readyz")
    until = time.monotonic() + wait
    said: dict[str, str] = {}
    while True:
        with ThreadPoolExecutor(len(urls)) as threads:
            answers = dict(zip(urls, threads.map(ask, urls), strict=True))
        for url, wrong in answers.items():
            if said.get(url) != wrong:
                out.print(f"[green]✔[/] {url}") if not wrong else err.print(f"[yellow]✘[/] {url}: {plain(wrong)}")
        said = answers
        if not any(answers.values()):
            return
        if time.monotonic() + _AGAIN_SECONDS > until:
            raise typer.Exit(1)
        time.sleep(_AGAIN_SECONDS)


def ask(url: str) -> str:
    """What is wrong; empty where the probe says yes."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked: http or https
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.read(_SHOWN).decode("utf-8", "replace").strip() or f"{error.code} {error.reason}"
    except OSError as error:
        return str(error)
    return ""
