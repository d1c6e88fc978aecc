"""What the bus costs its client: CPU per message of publishing, claiming, and fetching with acknowledgement.

    python benchmarks/bus.py [MESSAGES]

Runs against an embedded nats-server in a temporary folder. The server's own CPU is shown beside it.
"""

import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import uvloop

from events import streams, subjects
from events.bus import Bus, Message
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

PAYLOAD = b"x" * 200
FETCH = 500
TICKS_PER_SECOND = 100
"""Of /proc/<pid>/stat on Linux."""


async def measure(name: str, count: int, server: NatsServer, work: Awaitable[None]) -> None:
    wall, client, busy = time.perf_counter(), time.process_time(), server_seconds(server)
    await work
    wall, client, busy = time.perf_counter() - wall, time.process_time() - client, server_seconds(server) - busy
    print(f"{name:24}{client / count * 1e6:10.2f}{busy / count * 1e6:12.2f}{count / wall:14,.0f}")


def server_seconds(server: NatsServer) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


async def publish(bus: Bus, stream: str, messages: list[Message], at_once: int) -> None:
    for start in range(0, len(messages), at_once):
        await bus.publish(stream, messages[start : start + at_once])


async def consume(bus: Bus, count: int) -> None:
    lane = await bus.consumer("MAIL", streams.lane_name("bench", "pool", "gmail"))
    fetches = consumed = 0
    while consumed < count:
        deliveries = await lane.fetch(FETCH, 5)
        await lane.ack(deliveries)
        consumed += len(deliveries)
        fetches += 1
    print(f"  ({consumed / fetches:.0f} messages per fetch)")


async def main(count: int) -> None:
    subject = subjects.mail_due("pool", "gmail", "bench")
    mails = [Message(subject, PAYLOAD, f"abcdefghij{n:06}/1") for n in range(count)]
    claims = [Message(subjects.CLAIMS, b"", f"abcdefghij{n:06}/1") for n in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder)) as server:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="benchmark")
            await bus.setup()
            await bus.create_consumer(streams.lane("bench", "pool", "gmail"))
            print(f"{count:,} messages{'client µs':>19}{'server µs':>12}{'messages/s':>14}")
            await measure("publish, 500 at once", count, server, publish(bus, "MAIL", mails, 500))
            await measure("claim, 100 at once", count, server, publish(bus, "CLAIMS", claims, 100))
            await measure("claim again (refused)", count, server, publish(bus, "CLAIMS", claims, 100))
            await measure("fetch and acknowledge", count, server, consume(bus, count))
            await bus.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
