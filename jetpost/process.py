"""The life of one component process: settings, logs, metrics, signals; then the component; then a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client import disable_created_metrics

from analytics.errors import AnalyticsError
from events import errors, permissions, streams
from events.nats_bus import NatsBus
from jetpost import locating, logs, metrics, probes, readiness
from jetpost.errors import Fault
from jetpost.settings import Effective, Settings
from sender.errors import SenderError

WAIT_FOR_BUS_SECONDS: Final = 2.0

_CONSUMERS: Final[Mapping[str, tuple[streams.ConsumerSpec, ...]]] = {
    "producer": tuple(streams.PRODUCERS.values()),
    "sender": (streams.POISON,),
    "ingester": (streams.WISHES, streams.HEARING),
}
"""Those that a component takes from and that exist as long as the streams do."""

_log = logging.getLogger("jetpost")


class Process(NamedTuple):
    """What a component gets from its process."""

    settings: Settings
    bus: NatsBus
    stop: asyncio.Event
    """Set when the process shall end: stop taking work, finish what is held, return."""
    announce: Callable[..., None]
    """Say that the component works now, with addresses of its own: `announce(web="http://…")`."""
    health: probes.Health
    """What `/readyz` asks; a component adds what it needs beside NATS."""


def run(
    component: str, configured: Effective, main: Callable[[Process], Awaitable[None]], *, beside: Sequence[str] = ()
) -> None:
    """Run a component until it ends, or until SIGTERM or SIGINT asked it to. Does not return before its end.

    Where the settings name no NATS server it waits for a stack on its `data_dir`, and works beside that. `beside` names the
    components that `main` runs in the same process.

    Why it ends otherwise stands in the log: exit code 2 for what the operator can mend, 1 for what nobody expected.
    """
    logs.configure(configured.settings.log, component)
    gc.collect()
    gc.freeze()  # what start-up made stays for ever: the collector need not look at it again
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_live((component, *beside), configured, main))
    except (Fault, errors.BusError, AnalyticsError, SenderError) as error:
        _log.critical("%s", error)
        raise SystemExit(2) from error
    except Exception as error:
        _log.critical("ended by an unexpected error", exc_info=error)
        raise SystemExit(1) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not to be had on Windows

    return uvloop.new_event_loop


async def _live(components: Sequence[str], configured: Effective, main: Callable[[Process], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    readiness.stop_without_supervisor(stop)
    health = probes.Health()
    health.add("nats", _nothing_yet)
    health.add("process", lambda: _no_end(stop))
    with _signals(stop):
        async with _observed(configured.settings, components, health) as address:
            connected = await connect(configured, components[0], stop)
            if connected is None:
                return
            settings, bus = connected
            health.add("nats", lambda: _all_streams(bus, _needed(settings, components[0])))
            _log.info("started", extra={"metrics": address})
            try:
                await main(Process(settings, bus, stop, _announcer(address), health))
            finally:
                await bus.close()
                _log.info("stopped")


def _announcer(metrics_address: str) -> Callable[..., None]:
    return lambda **addresses: readiness.announce({"metrics": metrics_address, **addresses})


async def _nothing_yet() -> None:
    raise Fault("not connected yet; the log says why")


async def _no_end(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise Fault("is about to end")


async def _all_streams(bus: NatsBus, needed: Collection[str]) -> None:
    if lacking := await bus.lacking(needed):
        raise probes.Lacking(lacking)


def _needed(settings: Settings, component: str) -> frozenset[str]:
    """The streams that this process may ask about: all, or for who faces strangers those that it uses."""
    name = "public" if component == "web" and settings.web.serve == "public" else component
    return permissions.NAMED[name].looks_at


async def connect(configured: Effective, name: str, stop: asyncio.Event) -> tuple[Settings, NatsBus] | None:
    """A bus whose streams are set up, however long that takes, and the settings with its address; None where `stop` came
    first. What it waits for is logged once."""
    said = ""
    while not stop.is_set():
        settings = locating.located(configured).settings
        try:
            return settings, await _connect_once(settings, name)
        except (errors.RetryLater, errors.StreamMissing) as error:
            if locating.located(configured).settings.nats != settings.nats:
                continue  # a stack came up, or went, while we tried
            advice = f"; {locating.advice(configured)}" if isinstance(error, errors.BusUnavailable) else ""
            if f"{error}{advice}" != said:
                said = f"{error}{advice}"
                _log.warning("waiting for NATS: %s", said)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_FOR_BUS_SECONDS):
                await stop.wait()
    return None


async def _connect_once(settings: Settings, name: str) -> NatsBus:
    bus = await NatsBus.connect(settings.nats, name=f"jetpost {name}")
    try:
        await _require_set_up(bus, settings, name)
    except errors.BusError:
        await bus.close()
        raise
    return bus


async def _require_set_up(bus: NatsBus, settings: Settings, name: str) -> None:
    """`jetpost setup` may be at work just now: whoever begins between its steps would miss something a moment later."""
    lacking = await bus.lacking(_needed(settings, name))
    lacking += [
        spec.name for spec in _CONSUMERS.get(name, ()) if await bus.consumer_state(spec.stream, spec.name) is None
    ]
    if lacking:
        raise errors.StreamMissing(
            f"not found, or not as this release needs it: {', '.join(lacking)}; run `jetpost setup`"
        )


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _observed(settings: Settings, components: Sequence[str], health: probes.Health) -> AsyncIterator[str]:
    """Serve metrics and probes; yields the address of `/metrics`. Raises `Fault` where it cannot listen."""
    host, port = settings.metrics.host, settings.metrics.port
    disable_created_metrics()  # type: ignore[no-untyped-call]
    async with contextlib.AsyncExitStack() as opened:
        await opened.enter_async_context(probes.beating(health))
        try:
            address = opened.enter_context(probes.served(host, port, metrics.registry(*components), health))
        except OSError as error:
            raise Fault(
                f"cannot serve metrics on {host}:{port} ({error.strerror}); set metrics.port to another, or to 0"
            ) from error
        yield f"{address}/metrics"
