"""What every mail server under test can do: start, say what it stored, be killed in the middle of a session, stop."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parents[2] / ".cache" / "mtas"
"""Where tests/system-packages.sh unpacks what cannot be installed beside Postfix."""
START_SECONDS = 20
DRAIN_SECONDS = 30
LARGEST = 2_000_000
"""Bytes of the largest message that every server here takes, and says so by SIZE where it can."""
USER, PASSWORD = "ada", "secret"


class Mta:
    """A server that listens at several doors: ports that differ in what they offer and ask for.

    Recipients with `+unknown` are refused, those with `+busy` are to be tried again, senders with `+refused` are turned
    away, messages with the subject `refused` are not taken. What is accepted ends in one folder.
    """

    name = ""
    doors: tuple[str, ...] = ()
    """`clear` offers all that the server can; `without chunking`, `without pipelining`; `starttls` and `implicit` ask for
    AUTH; `limited` gives up after a few mails or errors."""
    line_end = b"\n"
    """Of stored messages."""
    unknown = (550, "5.1.1")
    busy = (450, "4.2.1")
    refused = (550, "5.7.1")
    content = (550, "5.7.1")
    """None: it does not look at what it is given."""
    taken = b""
    """What its final replies have in common, and no other reply has."""
    smtputf8 = True
    longest_line = 20_000
    """Bytes, without its end. RFC 5321 allows 998; the longer ones are what real templates hold."""

    def __init__(self, free_port, certificate):
        self.certificate = certificate
        self.folder = Path(tempfile.mkdtemp(prefix=f"jetpost-{self.name}-"))
        self.folder.chmod(0o755)
        self.ports = {door: free_port() for door in self.doors}
        self.process = None

    # a server's own

    def prepare(self):
        """Write the configuration; skip the test where the server cannot run here."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Runs in the foreground until SIGTERM."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The stored messages."""
        return [file for file in (self.folder / "mail" / "new").glob("*") if file.is_file()]

    def queued(self) -> bool:
        """Something accepted has not been stored yet."""
        return False

    def main_pid(self) -> int:
        """The id of the process that started all others and leads their group."""
        return self.process.pid

    def serving(self) -> list[int]:
        """The ids of the processes that speak SMTP with a client now."""
        return children(self.main_pid())

    # the same for all

    def start(self):
        if self.process is None:
            self.prepare()
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, cwd=self.folder, start_new_session=True
            )
        self._wait_for(list(self.ports.values())[-1])

    def _wait_for(self, port):
        for _ in range(START_SECONDS * 50):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                self._wait(0.02)
            else:
                return
        self.process.kill()
        pytest.fail(f"{self.name} does not start: {(self.folder / 'output').read_text()}")

    def _wait(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def stop(self):
        if self.process is not None:
            main = self.main_pid()
            os.kill(main, signal.SIGTERM)
            self.process.wait(START_SECONDS)
            end_group(main)
        shutil.rmtree(self.folder)

    def door_to_die_at(self) -> str:
        """A clear one, at which sessions may be killed."""
        return "clear"

    def kill_session(self):
        assert self.serving()
        """End at once, without a farewell, whatever serves clients now. `revive` afterwards."""
        for pid in self.serving():
            os.kill(pid, signal.SIGKILL)

    def revive(self):
        """Start again what `kill_session` took down. Nothing here where each session has a process of its own."""

    async def stored(self) -> list[bytes]:
        """All messages, as soon as the queue is empty."""
        async with asyncio.timeout(DRAIN_SECONDS):
            while self.queued():  # noqa: ASYNC110 - folders are looked at
                await asyncio.sleep(0.02)
        return [file.read_bytes() for file in self.files()]


class DiesWhole(Mta):
    """A server that serves every client in one process, or falls as a whole when a part of it dies."""

    def revive(self):
        self.process.wait(START_SECONDS)
        self.start()


def end_group(leader):
    """What a server started may outlive it for a moment, and still write."""
    with suppress(ProcessLookupError):
        for _ in range(START_SECONDS * 100):
            os.killpg(leader, signal.SIGKILL)
            time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process started and that live still."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
