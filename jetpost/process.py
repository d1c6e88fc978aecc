"""The life of one component process: settings, logs, metrics, signals; then the component; then a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import disable_created_metrics, start_http_server

from analytics.errors import AnalyticsError
from events import errors, streams
from events.nats_bus import NatsBus
from jetpost import logs, metrics, readiness
from jetpost.errors import Fault
from jetpost.settings import Settings
from sender.errors import SenderError

WAIT_FOR_BUS_SECONDS: Final = 2.0

_log = logging.getLogger("jetpost")


class Process(NamedTuple):
    """What a component gets from its process."""

    settings: Settings
    bus: NatsBus
    stop: asyncio.Event
    """Set when the process shall end: stop taking work, finish what is held, return."""
    announce: Callable[..., None]
    """Say that the component works now, with addresses of its own: `announce(web="http://…")`."""


def run(
    component: str, settings: Settings, main: Callable[[Process], Awaitable[None]], *, beside: Sequence[str] = ()
) -> None:
    """Run a component until it ends, or until SIGTERM or SIGINT asked it to. Does not return before its end.

    `beside` names the components that `main` runs in the same process.

    Why it ends otherwise stands in the log: exit code 2 for what the operator can mend, 1 for what nobody expected.
    """
    logs.configure(settings.log, component)
    gc.collect()
    gc.freeze()  # what start-up made stays for ever: the collector need not look at it again
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_live((component, *beside), settings, main))
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


async def _live(components: Sequence[str], settings: Settings, main: Callable[[Process], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    readiness.stop_without_supervisor(stop)
    with _signals(stop), _metrics(settings, components) as address:
        bus = await connect(settings, components[0], stop)
        if bus is None:
            return
        _log.info("started", extra={"metrics": address})
        try:
            await main(
                Process(settings, bus, stop, lambda **addresses: readiness.announce({"metrics": address, **addresses}))
            )
        finally:
            await bus.close()
            _log.info("stopped")


async def connect(settings: Settings, name: str, stop: asyncio.Event) -> NatsBus | None:
    """A bus whose streams are set up, however long that takes; None where `stop` came first."""
    while not stop.is_set():
        try:
            return await _connect_once(settings, name)
        except (errors.RetryLater, errors.StreamMissing) as error:
            _log.warning("waiting for NATS: %s", error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_FOR_BUS_SECONDS):
                await stop.wait()
    return None


async def _connect_once(settings: Settings, name: str) -> NatsBus:
    bus = await NatsBus.connect(settings.nats, name=f"jetpost {name}")
    try:
        for spec in streams.STREAMS:
            await bus.stream_state(spec.name)
    except errors.BusError:
        await bus.close()
        raise
    return bus


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


@contextlib.contextmanager
def _metrics(settings: Settings, components: Sequence[str]) -> Iterator[str]:
    """Serve `/metrics`; yields the address. Raises `Fault` where it cannot listen."""
    host, port = settings.metrics.host, settings.metrics.port
    disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        server, thread = start_http_server(port, host, registry=metrics.registry(*components))
    except OSError as error:
        raise Fault(
            f"cannot serve metrics on {host}:{port} ({error.strerror}); set metrics.port to another, or to 0"
        ) from error
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
