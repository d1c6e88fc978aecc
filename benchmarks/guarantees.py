"""What the claims cost: a sender with them and one without, in turn, to the mailbox simulator over SMTP.

    python -m benchmarks.guarantees [--mails 20000] [--pairs 5]

Each run has a nats-server of its own whose queue is full before the sender starts. Prints mails per second of every run, and
the median of the ratios pair by pair, which holds when the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks import sending
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from jetpost.simulator.stats import Ports
from sender import worker
from sender.claims import Claim, Claims, Won
from sender.drivers.smtp_pool import SmtpPool
from sender.lanes import Held
from sender.settings import Relay, SenderSettings


class FreeClaims(Claims):
    """Grants everything and stores nothing: the sender without its guarantee."""

    async def claim(self, held: Sequence[Held]) -> list[Claim]:
        return [Won() for _ in held]


async def rate(mails: int, port: int, claims: type[Claims]) -> float:
    """Mails per second of one sender, from an already full queue."""
    worker.Claims = claims  # type: ignore[misc]
    settings = SenderSettings(pools={"default": Relay(port=port)})
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder)) as server:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
            await sending.prepare(bus, mails)
            measured = await sending.measure(bus, SmtpPool, settings, mails)
            await bus.close()
    return measured["mails_per_second"]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port, process = await _simulator(Path(folder))
        try:
            await _compare(options.mails, options.pairs, port)
        finally:
            process.terminate()
            await process.wait()


async def _compare(mails: int, pairs: int, port: int) -> None:
    ratios = []
    for number in range(1, pairs + 1):
        with_claims = await rate(mails, port, Claims)
        without = await rate(mails, port, FreeClaims)
        ratios.append(with_claims / without)
        print(f"pair {number}: {with_claims:,.0f} mails/s with claims, {without:,.0f} without, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}: claims cost {1 - statistics.median(ratios):.0%} of the rate")


async def _simulator(folder: Path) -> tuple[int, asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jetpost.simulator", "--state-dir", str(folder)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    return msgspec.json.decode(line, type=Ports).smtp, process


if __name__ == "__main__":
    uvloop.run(main())
