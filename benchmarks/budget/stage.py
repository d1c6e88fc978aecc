"""A stage of a mail's way, and what it costs."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple

from benchmarks.frame import processes

REPETITIONS: Final = 5


class Stage(NamedTuple):
    name: str
    by: str
    """The process that pays for `own`."""
    own: float
    """CPU µs per mail."""
    served_by: str = ""
    """The process that pays for `served`; empty: nobody."""
    served: float = 0.0


def pure(name: str, by: str, work: Callable[[Any], object], items: list[Any]) -> Stage:
    """The best of some rounds."""
    best = float("inf")
    for _ in range(REPETITIONS):
        gc.collect()
        began = time.process_time()
        for item in items:
            work(item)
        best = min(best, time.process_time() - began)
    return Stage(name, by, best / len(items) * 1e6)


async def served(name: str, by: str, count: int, server: tuple[str, int], work: Awaitable[object]) -> Stage:
    """What `work` takes of us and of the server, given by name and process id, while it goes through `count` mails."""
    server_name, pid = server
    own, busy = time.process_time(), _seconds(pid)
    await work
    own, busy = time.process_time() - own, _seconds(pid) - busy
    return Stage(name, by, own / count * 1e6, server_name, busy / count * 1e6)


def by_process(stages: Iterable[Stage]) -> dict[str, float]:
    """CPU µs per mail."""
    found: dict[str, float] = {}
    for stage in stages:
        found[stage.by] = found.get(stage.by, 0.0) + stage.own
        if stage.served_by:
            found[stage.served_by] = found.get(stage.served_by, 0.0) + stage.served
    return found


def _seconds(pid: int) -> float:
    used = processes.cpu(pid)
    assert used is not None, f"process {pid} is gone"
    return used.total
