"""Fixed work that tells how fast a machine is, so that figures from different machines compare.

Three rates: a loop of plain Python, copying memory, and Postfix's `smtp-source` sending mails of 10 KB to its `smtp-sink`
where Postfix is installed. The first two are per second of CPU, so that a busy machine does not change them much. Never
change this work: every stored result is relative to it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Final

from rich.console import Console

from benchmarks.frame import processes

REPETITIONS: Final = 3
_ROUNDS: Final = 200_000
_MEMORY_BYTES: Final = 64_000_000
_COPIES: Final = 8
SMTP_MAILS: Final = 20_000
SMTP_SESSIONS: Final = 20
SMTP_BYTES: Final = 10_240
_UP_WITHIN_SECONDS: Final = 10.0
_SBIN: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def calibrate(smtp_mails: int = SMTP_MAILS) -> dict[str, float]:
    """The rates by name. What Postfix would measure is missing where it is not installed."""
    return {
        "python_loops_per_second": round(_ROUNDS / _best(_python_loop)),
        "memory_gb_per_second": round(_MEMORY_BYTES * _COPIES / _best(_memory_loop) / 1e9, 2),
        **_smtp(smtp_mails),
    }


def show(rates: dict[str, float], console: Console, mails_per_second: float | None = None) -> None:
    """One line; with a rate of mails, what share of `smtp-source`'s it is."""
    console.print(
        f"calibration: {rates['python_loops_per_second'] / 1e6:.2f} M loops of Python/s,"
        f" memory {rates['memory_gb_per_second']:.1f} GB/s{_smtp_text(rates, mails_per_second)}"
    )


def _smtp_text(rates: dict[str, float], mails_per_second: float | None) -> str:
    smtp = rates.get("smtp_mails_per_second")
    if smtp is None:
        return ""
    share = f" ({mails_per_second / smtp:.2f} of it reached)" if mails_per_second else ""
    return f", smtp-source → smtp-sink {smtp:,.0f} mails/s{share} at {rates['smtp_cpu_us_per_mail']:.0f} µs CPU"


def _best(work: Callable[[], object]) -> float:
    """The shortest CPU time of some repetitions, in seconds."""
    took = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def _python_loop() -> int:
    """Integers, strings, a dictionary, a call: what services are made of."""
    seen: dict[str, int] = {}
    total = 0
    for number in range(_ROUNDS):
        key = f"mail-{number % 1_000}"
        seen[key] = seen.get(key, 0) + len(key)
        total = (total * 31 + number) % 1_000_003
    return total + len(seen)


def _memory_loop() -> None:
    source, target = bytearray(_MEMORY_BYTES), bytearray(_MEMORY_BYTES)
    for _ in range(_COPIES):
        target[:] = source


def _smtp(mails: int) -> dict[str, float]:
    source, sink = shutil.which("smtp-source", path=_SBIN), shutil.which("smtp-sink", path=_SBIN)
    if source is None or sink is None:
        return {}
    port = _free_port()
    user = ("-u", "nobody") if os.getuid() == 0 else ()
    server = subprocess.Popen((sink, *user, f"127.0.0.1:{port}", "100"), stderr=subprocess.DEVNULL)
    try:
        _wait_until_up(port)
        return _send(source, port, mails, server.pid)
    finally:
        server.terminate()
        server.wait()


def _send(source: str, port: int, mails: int, server: int) -> dict[str, float]:
    before, began = processes.cpu(server), time.perf_counter()
    client = subprocess.Popen(
        (source, "-d", f"-s{SMTP_SESSIONS}", f"-l{SMTP_BYTES}", f"-m{mails}", f"127.0.0.1:{port}")
    )
    _, status, used = os.wait4(client.pid, 0)
    client.returncode = os.waitstatus_to_exitcode(status)
    seconds, after = time.perf_counter() - began, processes.cpu(server)
    assert client.returncode == 0, f"smtp-source ended with {client.returncode}"
    assert before is not None
    assert after is not None
    cpu_seconds = used.ru_utime + used.ru_stime + (after - before).total
    return {
        "smtp_mails_per_second": round(mails / seconds),
        "smtp_cpu_us_per_mail": round(cpu_seconds / mails * 1e6, 1),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(port: int) -> None:
    give_up_at = time.monotonic() + _UP_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.02)
        else:
            return
