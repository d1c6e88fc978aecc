"""The reception over a bus in memory, without a server between."""

import esps
import httpx
import pytest
from permitted_bus import PermittedBus

from analytics.web.webhooks.reception import Reception
from events import callbacks, permissions, subjects


class Amazon:
    """Serves certificates, and says what it was asked for."""

    def __init__(self):
        self.asked = []
        self.error = None

    async def __call__(self, url):
        self.asked.append(url)
        if self.error:
            raise self.error
        return esps.amazon()[1].encode() if url == esps.CERTIFICATE_URL else b"ok"


@pytest.fixture
def amazon():
    return Amazon()


@pytest.fixture
def webhooks():
    return esps.webhooks()


@pytest.fixture
async def reception(memory_bus, webhooks, clock, amazon):
    made = Reception(PermittedBus(memory_bus, permissions.PUBLIC), webhooks, clock=clock, fetch=amazon)
    async with made.running():
        yield made


@pytest.fixture
async def client(reception):
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(reception, client=("203.0.113.7", 1)), base_url="https://any.example"
    ) as client:
        yield client


@pytest.fixture
def kept(memory_bus):
    """A function that answers with the callbacks that were stored."""

    async def read():
        return [
            callbacks.decode(record.payload) async for record in memory_bus.read("CALLBACKS", subjects.CALLBACKS_NEW)
        ]

    return read
