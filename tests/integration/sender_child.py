"""A sender that mails may kill: `python sender_child.py URL FOLDER WHEN [ACK_WAIT]`, until it dies.

It appends what its relay took to the file `taken` in FOLDER; while there is a file `busy` no session can be had. The mail
`poison` kills the process: when it is `claiming` it, when it is `sending` it, or `never`.
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

from events.nats_bus import BusSettings, NatsBus
from sender import worker
from sender.drivers.base import Accepted, Reply
from sender.settings import Relay, SenderSettings

ACK_WAIT_SECONDS = 2.0
SETTINGS = SenderSettings(
    pools={"main": Relay(max_connections=1, pipeline_depth=4)}, fetch_wait_seconds=0.5, retry_pause_seconds=0.05
)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class DiesWhenClaiming:
    """A bus whose user dies when it is about to claim the mail."""

    def __init__(self, bus):
        self._bus = bus

    def __getattr__(self, name):
        return getattr(self._bus, name)

    async def publish(self, stream, messages):
        if stream == "CLAIMS" and any(message.id.startswith("poison/") for message in messages):
            die()
        return await self._bus.publish(stream, messages)


class Relayed:
    """A pool of one session, which takes every mail."""

    room = 4

    def __init__(self, folder, deadly):
        self._taken = folder / "taken"
        self._busy = folder / "busy"
        self._deadly = deadly

    @asynccontextmanager
    async def lease(self):
        while self._busy.exists():  # noqa: ASYNC110 -- another process takes it away
            await asyncio.sleep(0.01)
        yield self

    async def deliver(self, mails):
        with self._taken.open("a") as file:
            for mail in mails:
                if self._deadly and mail.mail_id == "poison":
                    file.flush()
                    die()
                file.write(mail.mail_id + "\n")
        return [Accepted(Reply(250, "2.0.0", "ok"), time.time()) for _ in mails]

    async def close(self):
        """Nothing is open."""


async def main(url, folder, when, ack_wait=ACK_WAIT_SECONDS):
    bus = await NatsBus.connect(BusSettings(url=url, ack_wait_seconds=float(ack_wait)), name="sender")
    used = DiesWhenClaiming(bus) if when == "claiming" else bus
    pool = Relayed(Path(folder), when == "sending")
    await worker.run(used, SETTINGS, lambda name, relay: pool, clock=time.time, stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
