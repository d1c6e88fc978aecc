"""Fixtures that every kind of test shares: clocks, a real nats-server, and the two buses.

`nats_server` is one process per worker of pytest-xdist. `nats_bus` begins every test with empty streams on it. `bus` runs a
test twice, on `MemoryBus` and on `NatsBus`, in real time.
"""

import json
import socket

import pytest
import pytest_asyncio
from fakes import FakeClock
from hypothesis import settings
from nats.aio.client import Client

from benchmarks.frame.postgres import PostgresServer
from events.memory_bus import MemoryBus
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

settings.register_profile(
    "jetpost", deadline=None
)  # how long an example takes says more about the machine than about us
settings.load_profile("jetpost")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(scope="session")
def free_port():
    """A function that returns a TCP port of the loopback interface which nobody listened on a moment ago."""

    def pick() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return pick


@pytest.fixture
async def memory_bus(clock):
    """A bus in memory, set up, whose time is the `clock` fixture's."""
    bus = MemoryBus(clock)
    await bus.setup()
    yield bus
    await bus.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(tmp_path_factory):
    """A real nats-server, shared by the tests of this process."""
    async with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def empty_nats_server(nats_server):
    """The shared nats-server, without any stream."""
    client = Client()
    await client.connect(nats_server.url)
    listing = json.loads((await client.request("$JS.API.STREAM.NAMES", b"")).data)
    for name in listing["streams"] or []:
        await client.request(f"$JS.API.STREAM.DELETE.{name}", b"")
    await client.close()
    return nats_server


@pytest.fixture
async def nats_bus(empty_nats_server):
    """A connection to a real nats-server with the project's streams, all of them empty."""
    bus = await NatsBus.connect(BusSettings(url=empty_nats_server.url), name="test")
    await bus.setup()
    yield bus
    await bus.close()


@pytest.fixture
async def store():
    """ClickHouse in memory, with the project's tables, all of them empty."""
    from analytics.clickhouse.client import Store  # noqa: PLC0415 - most tests need none
    from analytics.settings import ClickHouseSettings  # noqa: PLC0415 - the same

    opened = Store(ClickHouseSettings(url="chdb://", keep_days=0))
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def nats_bus_in_batches(empty_nats_server):
    """The same for a server that syncs whatever it stores: what is published together goes as an atomic batch."""
    bus = await NatsBus.connect(BusSettings(url=empty_nats_server.url, sync_always=True), name="test")
    await bus.setup()
    yield bus
    await bus.close()


@pytest.fixture
async def memory_bus_in_real_time():
    bus = MemoryBus()
    await bus.setup()
    yield bus
    await bus.close()


@pytest.fixture(params=["memory_bus_in_real_time", "nats_bus"], ids=["memory", "nats"])
def bus(request):
    """Either bus, set up and empty, in real time."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL, shared by the tests of this process: each makes tables of its own."""
    with PostgresServer() as server:
        yield server
