"""Whether a process lives and can work, for Kubernetes and Prometheus: `/healthz`, `/readyz` and `/metrics` on one address.

They are served by threads of their own, so that they answer while the event loop is stuck, and can say so. Alive means that
the loop turns: a process whose loop does not is of no use and should be started again. Ready means that it could work now:
NATS answers and has all that this release needs, and so have the tables of who uses ClickHouse. Nobody should be killed for
not being ready: it passes without our doing (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from events import answering

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

STUCK_AFTER_SECONDS: Final = 30.0
"""A loop that has not turned for so long is stuck. Nothing of ours holds it for one second."""
BEAT_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = answering.WITHIN_SECONDS + 1.0
"""For the loop; all checks are asked at once. Give a probe of Kubernetes more (`timeoutSeconds: 5`): its default of one second
says less than this."""

Check = Callable[[], Awaitable[object]]
"""Raises what is wrong."""


class Lacking(Exception):
    """The servers answer, and are not as this release needs them."""

    def __init__(self, what: Iterable[str]) -> None:
        super().__init__(f"not as this release needs it: {', '.join(what)}. Run: jetpost setup")


class Health:
    """What a process knows of itself. Made and fed in the event loop, asked from other threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._loop = asyncio.get_running_loop()
        self._beat_at = clock()
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Ready only while `check` raises nothing."""
        self._checks[name] = check

    async def beat(self) -> None:
        """Say again and again that the loop turns."""
        while True:
            self._beat_at = self._clock()
            await asyncio.sleep(BEAT_SECONDS)

    def alive(self) -> dict[str, str]:
        """What is checked, and "ok" or what is wrong with it."""
        still = self._clock() - self._beat_at
        return {"loop": answering.OK if still < STUCK_AFTER_SECONDS else f"has not turned for {still:.0f} seconds"}

    def ready(self) -> dict[str, str]:
        """The same. Blocks its thread until all checks have answered, or for four seconds."""
        asking = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        try:
            return asking.result(self._patience_seconds)
        except concurrent.futures.TimeoutError:
            asking.cancel()
            return {"loop": "does not turn"}

    async def _ask(self) -> dict[str, str]:
        names = list(self._checks)
        answers = await asyncio.gather(*(answering.answer(self._checks[name]) for name in names))
        return dict(zip(names, answers, strict=True))


@contextlib.asynccontextmanager
async def beating(health: Health) -> AsyncIterator[None]:
    beat = asyncio.create_task(health.beat(), name="heartbeat")
    try:
        yield
    finally:
        beat.cancel()


@contextlib.contextmanager
def served(host: str, port: int, registry: CollectorRegistry, health: Health) -> Iterator[str]:
    """Serve all three; yields the address of the server. Port 0: a free one. Raises `OSError` where it cannot listen."""
    server = make_server(host, port, _app(registry, health), _server_for(host, port), _Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="metrics and probes")
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server_for(host: str, port: int) -> type[ThreadingWSGIServer]:
    """A server for what the host's name or address means: IPv4 or IPv6."""

    class Server(ThreadingWSGIServer):
        address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]

    return Server


class _Silent(WSGIRequestHandler):
    timeout = 10
    """Seconds a client may take to say what it wants."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Probes come every few seconds: nobody wants to read of each."""


def _app(registry: CollectorRegistry, health: Health) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics = make_wsgi_app(registry)
    probes = {"/healthz": health.alive, "/readyz": health.ready}

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        probe = probes.get(environ["PATH_INFO"])
        if probe is None:
            answered: Iterable[bytes] = metrics(environ, start)
            return answered
        found = probe()
        status = HTTPStatus.OK if set(found.values()) <= {answering.OK} else HTTPStatus.SERVICE_UNAVAILABLE
        start(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [json.dumps(found).encode() + b"\n"]

    return app
