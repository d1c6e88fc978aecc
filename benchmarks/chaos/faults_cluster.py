"""Faults of a cluster of three nats-servers that keep three copies of everything."""

from __future__ import annotations

from typing import Final

from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.fault import Fault, Strike


def _cluster(blow: Strike) -> Cluster:
    assert blow.stage.cluster is not None
    return blow.stage.cluster


async def _leader_killed(blow: Strike) -> None:
    cluster = _cluster(blow)
    name = await cluster.leader("MAIL")
    cluster.kill(name)
    blow.notes.append(f"SIGKILL {name}, leader of MAIL")
    await cluster.start(name)


async def _rolling_restart(blow: Strike) -> None:
    cluster = _cluster(blow)
    for name in cluster.names:
        await cluster.stop(name)
        await cluster.start(name)
        blow.notes.append(f"restart {name}")


async def _disk_wiped(blow: Strike) -> None:
    cluster = _cluster(blow)
    name = blow.chance.choice(cluster.names)
    cluster.kill(name)
    await cluster.wipe(name)
    blow.notes.append(f"SIGKILL {name}, and its disk wiped")
    await cluster.start(name)


FAULTS: Final = (
    Fault(
        "cluster-leader-kill", "kill -9 of the server that leads MAIL", _leader_killed, doubts="wire", needs="cluster"
    ),
    Fault(
        "cluster-rolling",
        "all servers restarted, one after the other",
        _rolling_restart,
        doubts="wire",
        needs="cluster",
    ),
    Fault(
        "cluster-disk-wiped", "kill -9 of a server, which comes back empty", _disk_wiped, doubts="wire", needs="cluster"
    ),
)
