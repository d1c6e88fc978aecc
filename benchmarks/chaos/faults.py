"""Faults of processes: killed, asked to stop, frozen."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import Final

from benchmarks.chaos.fault import Fault, Strike
from events.streams import Timing


def _signalled(kind: str, number: Signals) -> Callable[[Strike], Awaitable[None]]:
    async def strike(blow: Strike) -> None:
        blow.signal(blow.choose(kind), number)

    return strike


async def _several_killed(blow: Strike) -> None:
    """Two to all of them, in the same moment."""
    names = sorted(blow.stage.processes())
    for name in blow.chance.sample(names, blow.chance.randint(2, len(names))):
        blow.signal(name, SIGKILL)


async def _sender_frozen(blow: Strike) -> None:
    """Long enough for its mails to go to another; then it goes on as if nothing had happened."""
    pid = blow.signal(blow.choose("sender"), SIGSTOP)
    try:
        await asyncio.sleep(blow.stage.options.ack_wait_seconds * 1.3)
    finally:
        os.kill(pid, SIGCONT)


async def _nats_away(blow: Strike) -> None:
    """Killed, and kept from starting again until it has forgotten every message id: its store's lock is ours meanwhile."""
    forgets_after = Timing(blow.stage.options.ack_wait_seconds).deduplication_seconds
    with (blow.stage.folder / "nats" / "lock").open("ab") as lock:
        blow.signal("nats", SIGKILL)
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        await asyncio.sleep(forgets_after * 1.1)


async def _launch_killed(blow: Strike) -> None:
    if blow.launch.returncode is None:
        blow.launch.kill()
        blow.notes.append("SIGKILL jetpost send")


FAULTS: Final = (
    Fault("sender-kill", "kill -9 of a sender", _signalled("sender", SIGKILL), doubts="wire"),
    Fault(
        "sender-kill-again",
        "the same under `at_least_once`",
        _signalled("sender", SIGKILL),
        doubts="wire",
        policy="at_least_once",
    ),
    Fault("sender-term", "SIGTERM of a sender", _signalled("sender", SIGTERM)),
    Fault("sender-freeze", "a sender frozen beyond the ack-wait, then going on", _sender_frozen, doubts="wire"),
    Fault("producer-kill", "kill -9 of a producer", _signalled("producer", SIGKILL), by="queued"),
    Fault("producer-term", "SIGTERM of a producer", _signalled("producer", SIGTERM), by="queued"),
    Fault("web-kill", "kill -9 of ingester, web app and ClickHouse", _signalled("web", SIGKILL), by="stated"),
    Fault("web-term", "SIGTERM of ingester, web app and ClickHouse", _signalled("web", SIGTERM), by="stated"),
    Fault("nats-kill", "kill -9 of nats-server", _signalled("nats", SIGKILL), doubts="wire"),
    Fault(
        "nats-away",
        "kill -9 of nats-server, which stays away until it has forgotten all ids",
        _nats_away,
        doubts="wire",
    ),
    Fault("several-kill", "kill -9 of two to all processes at once", _several_killed, doubts="wire"),
    Fault(
        "launch-kill", "kill -9 of `jetpost send`, and the same command again", _launch_killed, "planned", again=True
    ),
)
