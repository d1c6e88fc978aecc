"""Where NATS is for whoever works beside a stack: where the settings say, else where `data_dir` says that one runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msgspec.structs import replace

from events.errors import BusUnavailable
from jetpost import runtime, secret
from jetpost.errors import Fault
from jetpost.settings import Effective


def located(configured: Effective) -> Effective:
    """The settings that hold now; where nothing names a NATS server, those of the stack that runs on `data_dir`.

    Ask again at each try: a stack may come up later, or come again under another address.
    """
    settings = configured.settings
    running = runtime.find(settings.data_dir)
    if running is None or configured.is_set("nats", "url"):
        return configured
    nats = replace(settings.nats, url=running.nats_url)
    known_secret = settings.producer.link_secret or secret.read(settings.data_dir)
    settings = replace(settings, nats=nats, producer=replace(settings.producer, link_secret=known_secret))
    return Effective(settings, {**configured.origins, ("nats", "url"): f"running stack {running.pid}"})


def advice(configured: Effective) -> str:
    """What to do where NATS cannot be reached."""
    if configured.is_set("nats", "url"):
        origin = configured.origins["nats", "url"]
        return f"nats.url is set ({origin}): check that it is right, and that NATS runs there"
    data_dir = configured.settings.data_dir.absolute()
    if running := runtime.find(data_dir):
        return f"`jetpost up` runs there (process {running.pid}): what its NATS says is in {data_dir / 'nats'}"
    return (
        f"no `jetpost up` runs with the data_dir {data_dir}: start one with the settings that this command has,"
        " or set nats.url to a server of yours"
    )


@contextlib.contextmanager
def reaching(configured: Effective) -> Iterator[None]:
    """Inside, NATS is to be reached. Raises `Fault`, which says what to do, where it cannot be."""
    try:
        yield
    except BusUnavailable as error:
        raise Fault(f"{error}; {advice(configured)}") from error
