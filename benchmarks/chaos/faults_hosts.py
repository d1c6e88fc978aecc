"""Faults of hosts, each with a nats-server, a sender and a producer: one is cut off from everybody, and returns."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.fault import Fault, Strike
from benchmarks.chaos.hosts import Hosts
from events import campaigns
from events.errors import BusError
from events.streams import Timing

_LAPSED: Final = 1.3
"""Ack-waits after which whatever the host held is in other hands."""
_LOOK_EVERY_SECONDS: Final = 0.1
_GIVE_UP_SECONDS: Final = 120.0


def parts(blow: Strike) -> tuple[Hosts, Cluster]:
    assert blow.stage.hosts is not None
    assert blow.stage.cluster is not None
    return blow.stage.hosts, blow.stage.cluster


async def one_leads(blow: Strike) -> None:
    """The same host leads all streams, and the cluster."""
    _, cluster = parts(blow)
    await cluster.lead(await cluster.meta_leader())


def cut_off(
    *, leader: bool, until_forgotten: bool = False, meanwhile: Callable[[Strike, str], Awaitable[None]] | None = None
) -> Callable[[Strike], Awaitable[None]]:
    """`leader`: of MAIL. `meanwhile` is told the number of the host."""

    async def strike(blow: Strike) -> None:
        hosts, cluster = parts(blow)
        leading = await cluster.leader("MAIL")
        server = leading if leader else blow.chance.choice([name for name in cluster.names if name != leading])
        number = server.rpartition("-")[2]
        began = time.monotonic()
        hosts.cut(f"host-{number}")
        try:
            if leader:
                await cluster.leader("MAIL", apart_from=server)
            if meanwhile is not None:
                await meanwhile(blow, number)
            timing = Timing(blow.stage.options.ack_wait_seconds)
            away = timing.deduplication_seconds * 1.1 if until_forgotten else timing.ack_wait_seconds * _LAPSED
            await asyncio.sleep(max(0.0, began + away - time.monotonic()))
        finally:
            hosts.mend(f"host-{number}")
        mended = time.monotonic()
        note = f"host-{number} with sender-{number} was cut off for {mended - began:.1f} s"
        if await _sends_again(blow, number):
            note += f" and sent again {time.monotonic() - mended:.1f} s after"
        blow.notes.append(note)

    return strike


async def _sends_again(blow: Strike, number: str) -> bool:
    """Wait until the sender there has sent a mail; False where none was left for it."""
    before = await asyncio.to_thread(_sent, blow, number)
    give_up_at = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < give_up_at:
        if await asyncio.to_thread(_sent, blow, number) > before:
            return True
        with contextlib.suppress(BusError):
            if (await campaigns.get(blow.stage.bus, blow.campaign)).finished_at is not None:
                return False
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    return False


def _sent(blow: Strike, number: str) -> float:
    """How many mails the sender of a host has handed over. Raises `OSError`."""
    address = blow.stage.stack.children[f"sender-{number}"].addresses["metrics"]
    with urllib.request.urlopen(address, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("emails_sent_total"))


FAULTS: Final = (
    Fault(
        "host-cut",
        "a host cut off, and back: its server leads everything",
        cut_off(leader=True),
        by="queued",
        doubts="wire",
        needs="hosts",
        prepare=one_leads,
    ),
    Fault(
        "host-cut-follower",
        "a host cut off, and back: its server leads nothing",
        cut_off(leader=False),
        doubts="wire",
        needs="hosts",
        prepare=one_leads,
    ),
    Fault(
        "host-cut-long",
        "the same for so long that NATS has forgotten all ids",
        cut_off(leader=False, until_forgotten=True),
        doubts="wire",
        needs="hosts",
        prepare=one_leads,
    ),
)
