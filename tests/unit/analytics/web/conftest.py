"""The web app over a bus in memory and sample reports, at a moment that stands still."""

import asyncio

import httpx
import pytest
from permitted_bus import PermittedBus
from web_samples import SampleReports, sample_bus, sample_plays

from analytics.web import server
from analytics.web.app import create_app
from analytics.web.settings import WebSettings
from events import permissions


@pytest.fixture
def plays(clock):
    return sample_plays(clock())


@pytest.fixture
async def bus(plays, clock):
    bus = await sample_bus(plays, clock)
    yield bus
    await bus.close()


@pytest.fixture
def reports(plays, clock):
    return SampleReports(plays, clock)


@pytest.fixture
def settings():
    return WebSettings()


@pytest.fixture
async def client(bus, reports, settings, clock):
    """Asks the app without a server between."""
    transport = httpx.ASGITransport(create_app(PermittedBus(bus, permissions.WEB), reports, settings, clock=clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def served(bus, reports, clock):
    """The address of the app behind a real server."""
    settings, stop = WebSettings(port=0), asyncio.Event()
    listener = server.listen(settings)
    running = asyncio.create_task(
        server.run(bus, reports, settings, clock=clock, listener=listener, stop=stop), name="served"
    )
    yield server.address_of(listener, settings)
    stop.set()
    await asyncio.wait_for(running, 5)
