"""What commands share: settings, a connection to the bus, the web app's address, printing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console

from events.nats_bus import BusSettings, NatsBus
from jetpost import errors, locating, runtime
from jetpost.settings import Effective, load

Fault = errors.Fault
Result = TypeVar("Result")

out: Final = Console(highlight=False, soft_wrap=True, emoji=False)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_settings_file: Path | None = None


def remember_settings_file(file: Path | None) -> None:
    """Called once, before any command."""
    global _settings_file  # noqa: PLW0603 - one process runs one command line
    _settings_file = file


def configured() -> Effective:
    """The settings as their sources give them."""
    return load(_settings_file)


def effective() -> Effective:
    """The settings of this command; where nothing names a NATS server, those of the stack that runs here."""
    return locating.located(configured())


def web_url(found: Effective) -> str:
    """Where the web app answers: that of the stack which runs here, if it is the one whose NATS we use."""
    running = runtime.find(found.settings.data_dir)
    if running and running.web_url and running.nats_url == found.settings.nats.url:
        return running.web_url
    web = found.settings.web
    return web.public_url or f"http://{web.host}:{web.port}"


@contextlib.asynccontextmanager
async def bus(found: Effective | None = None) -> AsyncIterator[NatsBus]:
    """A connection for one command, by its settings or by others. Where NATS cannot be reached it raises `Fault`: what to do."""
    found = found or configured()
    async with contextlib.AsyncExitStack() as opened:
        with locating.reaching(found):
            nats = locating.located(found).settings.nats
            connected = await opened.enter_async_context(connection(nats, "jetpost cli"))
        yield connected


@contextlib.asynccontextmanager
async def connection(settings: BusSettings, name: str) -> AsyncIterator[NatsBus]:
    """A connection for as long as the block lasts. Raises as `NatsBus.connect`."""
    connected = await NatsBus.connect(settings, name=name)
    try:
        yield connected
    finally:
        await connected.close()


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's asynchronous part."""
    return asyncio.run(work)


async def get_json(path: str) -> Any:  # noqa: ANN401 - a JSON document
    """A document of the web app's API. Raises `Fault` where it does not answer, or knows no such thing."""
    found = effective()
    return await fetch_json(web_url(found).rstrip("/") + path, found.settings.web.api_token)


async def fetch_json(url: str, token: str = "") -> Any:  # noqa: ANN401 - a JSON document
    """As `get_json`, of any web app."""
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return await asyncio.to_thread(_get, url, headers)


def _get(url: str, headers: dict[str, str]) -> Any:  # noqa: ANN401 - a JSON document
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own web app
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own web app
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            problem = error.read().decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            problem = json.loads(problem).get("detail", problem)
        raise Fault(f"{url}: {problem}") from error
    except (OSError, ValueError) as error:
        raise Fault(
            f"the web app does not answer at {url} ({error}); is `jetpost up` or `jetpost web run` on?"
        ) from error
