"""What a mail of 10 KB costs on both sides of SMTP: CPU per mail of the driver and of what it talks to, and how much of it is
spent in the kernel.

    python benchmarks/smtp.py [MAILS]

Pairs of client and server, each server a process of its own on loopback. `smtp-source` and `smtp-sink` are Postfix's; their
lines are missing where they are not installed. `floor` is uvloop moving the same bytes in the same turns, without SMTP.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiosmtplib
import msgspec
import uvloop

from events import ids
from jetpost.simulator.stats import Ports
from sender.drivers.base import Accepted, Outbound
from sender.drivers.smtp_pool import SmtpPool
from sender.settings import Relay

SESSIONS = 4
DEPTH = 16
PARAGRAPH = b"<p>Dear reader, here is what we found for you this week. Have a look. 12.50 EUR</p>\r\n"
BODY = (b"From: shop@example.org\r\nSubject: News of the week\r\n\r\n" + PARAGRAPH * 130)[:10_150] + b"\r\n"
TICKS_PER_SECOND = 100
"""Of /proc/<pid>/stat on Linux."""
FLOOR_SERVER = """
import asyncio, sys, uvloop
class Server(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.size = transport, 0
    def data_received(self, data):
        self.size += len(data)
        if self.size >= int(sys.argv[1]):
            self.size = 0
            self.transport.write(b"250 2.0.0 Ok: taken\\r\\n250 2.1.0 Ok\\r\\n250 2.1.5 Ok\\r\\n354 Go on\\r\\n")
async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print('{"smtp": %d, "smtps": null, "control": 0}' % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


class Cpu(NamedTuple):
    """Seconds of it."""

    user: float
    system: float

    def per_mail(self, since: "Cpu", mails: int, making: float = 0) -> str:
        user, system = ((now - then) / mails * 1e6 for now, then in zip(self, since, strict=True))
        return f"{user - making + system:10.1f} ({system:4.1f})"


class Server(NamedTuple):
    pid: int
    port: int

    def cpu(self) -> Cpu:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return Cpu(int(fields[11]) / TICKS_PER_SECOND, int(fields[12]) / TICKS_PER_SECOND)


@contextlib.contextmanager
def running(*command: str, port: int | None = None) -> Iterator[Server]:
    """A server process; one that is given no port prints its ports when it is ready."""
    process = subprocess.Popen(command, stdout=None if port else subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        if port is None:
            port = msgspec.json.decode(process.stdout.readline(), type=Ports).smtp
        else:
            time.sleep(0.5)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def simulator(*arguments: str) -> contextlib.AbstractContextManager[Server]:
    return running(sys.executable, "-m", "jetpost.simulator", *arguments)


def mail(number: int) -> Outbound:
    mail_id = ids.mail_id("bench", str(number))
    message = b"Message-ID: <%s.bench@example.org>\r\n%s" % (mail_id.encode(), BODY)
    return Outbound(mail_id, f"reader{number}@gmail.com", "bounces@example.org", message, in_lines=True)


async def through_pool(mails: int, relay: Relay) -> None:
    pool = SmtpPool("bench", relay)
    batches = iter(range(0, mails, relay.pipeline_depth))

    async def work() -> None:
        for first in batches:
            async with pool.lease() as driver:
                outcomes = await driver.deliver([mail(n) for n in range(first, first + relay.pipeline_depth)])
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes

    await asyncio.gather(*(work() for _ in range(SESSIONS)))
    await pool.close()


async def through_sendmail(mails: int, port: int) -> None:
    """aiosmtplib's own `sendmail`, as most Python programs send."""
    numbers = iter(range(mails))

    async def work() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
            for number in numbers:
                one = mail(number)
                await smtp.sendmail(one.return_path, [one.recipient], one.message)

    await asyncio.gather(*(work() for _ in range(SESSIONS)))


async def through_smtp_source(mails: int, port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        "smtp-source",
        "-d",
        "-s",
        str(SESSIONS),
        "-l",
        "10240",
        "-m",
        str(mails),
        "-t",
        "reader@gmail.com",
        f"127.0.0.1:{port}",
    )
    await process.wait()


async def floor(mails: int, port: int) -> None:
    class Client(asyncio.Protocol):
        left = mails

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            transport.write(BODY + b"x" * 90)

        def data_received(self, data: bytes) -> None:
            Client.left -= 1
            if Client.left >= SESSIONS:
                self.transport.write(BODY + b"x" * 90)
            elif Client.left == 0:
                finished.set()

    finished = asyncio.Event()
    loop = asyncio.get_running_loop()
    for _ in range(SESSIONS):
        await loop.create_connection(Client, "127.0.0.1", port)
    await finished.wait()


async def making_mails(mails: int) -> None:
    for number in range(mails):
        mail(number)


async def measure(name: str, mails: int, server: Server, send: Callable[[int], Awaitable[None]], making: float) -> None:
    """Prints a line; what it takes the benchmark itself to make a mail is not counted."""
    await send(min(1_000, mails // 10))
    wall, client, busy = time.perf_counter(), client_cpu(), server.cpu()
    await send(mails)
    rate = mails / (time.perf_counter() - wall)
    costs = client_cpu().per_mail(client, mails, making) + server.cpu().per_mail(busy, mails)
    print(f"{name:34}{costs}{rate:12,.0f}", flush=True)


def client_cpu() -> Cpu:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cpu(sum(one.ru_utime for one in used), sum(one.ru_stime for one in used))


async def calibrate(mails: int) -> float:
    """Microseconds of CPU that making one mail takes."""
    before = time.process_time()
    await making_mails(mails)
    return (time.process_time() - before) / mails * 1e6


async def main(mails: int) -> None:
    making = await calibrate(10_000)
    print(
        f"{mails:,} mails of {len(mail(1).message):,} bytes{'client µs (sys)':>21}{'server µs (sys)':>17}{'mails/s':>12}"
    )
    with running(sys.executable, "-c", FLOOR_SERVER, str(len(BODY) + 90)) as server:
        await measure("floor", mails, server, lambda n: floor(n, server.port), 0)
    with simulator() as server:
        relay = Relay(port=server.port, pipeline_depth=DEPTH)
        data = Relay(port=server.port, pipeline_depth=DEPTH, chunking=False)
        plain = Relay(port=server.port, pipeline_depth=DEPTH, pipelining=False)
        sendmail = partial(through_sendmail, port=server.port)
        await measure("pipelined, BDAT → simulator", mails, server, lambda n: through_pool(n, relay), making)
        await measure("pipelined, DATA → simulator", mails, server, lambda n: through_pool(n, data), making)
        await measure("one at a time → simulator", mails // 5, server, lambda n: through_pool(n, plain), making)
        await measure("aiosmtplib.sendmail → simulator", mails // 5, server, sendmail, making)
        if shutil.which("smtp-source"):
            await measure("smtp-source → simulator", mails, server, partial(through_smtp_source, port=server.port), 0)
    if shutil.which("smtp-sink"):
        await with_smtp_sink(mails, making)


async def with_smtp_sink(mails: int, making: float) -> None:
    user = ("-u", "nobody") if os.getuid() == 0 else ()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running("smtp-sink", *user, f"127.0.0.1:{port}", "100", port=port) as server:
        relay = Relay(port=port, pipeline_depth=DEPTH)
        await measure("pipelined, DATA → smtp-sink", mails, server, lambda n: through_pool(n, relay), making)
        if shutil.which("smtp-source"):
            await measure("smtp-source → smtp-sink", mails, server, partial(through_smtp_source, port=port), 0)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 48_000))
