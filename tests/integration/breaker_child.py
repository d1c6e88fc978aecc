"""A sender whose relay does not take every mail: `python breaker_child.py URL FOLDER BLOCKED [WARM]`, until it is killed.

BLOCKED is a part of addresses: such mails are refused for reputation, unless FOLDER has a file `mended`. Every try is a line in
FOLDER's `tried`, every mail that the relay takes one in `taken`. With WARM the pool is being warmed up, with so many mails on the
first day.
"""

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from events.nats_bus import BusSettings, NatsBus
from sender import worker
from sender.breaker.settings import BreakerSettings
from sender.drivers.base import Accepted, Refused, Reply
from sender.settings import Relay, SenderSettings
from sender.warmup.settings import WarmupSettings

ACK_WAIT_SECONDS = 2.0
SETTINGS = SenderSettings(
    pools={"main": Relay(max_connections=2, pipeline_depth=4)},
    breaker=BreakerSettings(minimum_mails=40, report_seconds=0.1),
    fetch_wait_seconds=0.5,
    fetch_mails=20,
    prefetch_mails=40,
    retry_pause_seconds=0.05,
)
BLOCKED = Refused("block", "reputation", Reply(550, "5.7.1", "blocked"))


class Relayed:
    """A pool of sessions to a relay that takes five milliseconds for a few mails."""

    room = 4

    def __init__(self, folder, blocked):
        self._folder = folder
        self._blocked = blocked

    @asynccontextmanager
    async def lease(self):
        yield self

    async def deliver(self, mails):
        await asyncio.sleep(0.005)
        mended = (self._folder / "mended").exists()
        with (self._folder / "tried").open("a") as tried, (self._folder / "taken").open("a") as taken:
            return [self._answer(mail, mended, tried, taken) for mail in mails]

    def _answer(self, mail, mended, tried, taken):
        tried.write(mail.mail_id + "\n")
        if self._blocked in mail.recipient and not mended:
            return BLOCKED
        taken.write(mail.mail_id + "\n")
        return Accepted(Reply(250, "2.0.0", "ok"), time.time())

    async def close(self):
        """Nothing is open."""

    def keep_open(self, sessions):
        """There is no limit."""


def settings(warm):
    if not warm:
        return SETTINGS
    warming = WarmupSettings(enabled=True, first_day_mails=int(warm))
    relay = msgspec.structs.replace(SETTINGS.pools["main"], warmup=warming)
    return msgspec.structs.replace(SETTINGS, pools={"main": relay})


async def main(url, folder, blocked, warm=""):
    bus = await NatsBus.connect(BusSettings(url=url, ack_wait_seconds=ACK_WAIT_SECONDS), name="sender")
    pool = Relayed(Path(folder), blocked)
    await worker.run(bus, settings(warm), lambda name, relay: pool, clock=time.time, stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
