"""The door over a bus in memory, without a server between."""

import httpx
import pytest
from permitted_bus import PermittedBus

from analytics.web.public.door import Door
from analytics.web.settings import WebSettings
from events import facts, ids, links, permissions, schemas, streams, subjects
from events.schemas import Campaign, Tracking
from events.tokens import Signer

SECRET = "correct horse battery staple"
ADDRESS = "ada@example.com"
MAIL = ids.mail_id("spring", ADDRESS)
LINKS = ("https://shop.example/", "https://shop.example/sale?a=1&b=2", "https://other.example/#x")
LEAVE = Signer(SECRET, "unsubscribe").token("spring", MAIL)
TRACK = Signer(SECRET, "track").token("spring", MAIL)
CAMPAIGN = Campaign(
    id="spring",
    name="Spring sale",
    status="running",
    pool="main",
    return_path="b@example.com",
    created_at=1_800_000_000.0,
    from_header="The <Letters> <letters@example.com>",
    tracking=Tracking(opens=True, clicks=True),
)
BROWSER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept": "image/avif,image/webp,*/*",
}


@pytest.fixture
def settings():
    return WebSettings(serve="public", links_url="https://mail.example.com", link_secret=SECRET)


@pytest.fixture
async def bus(memory_bus):
    await (await memory_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(CAMPAIGN))
    await (await memory_bus.blobs(streams.LINKS)).put(links.blob_name("spring"), links.encode(LINKS))
    return memory_bus


@pytest.fixture
async def door(bus, settings, clock):
    made = Door(PermittedBus(bus, permissions.PUBLIC), settings, clock=clock)
    async with made.running():
        yield made


@pytest.fixture
async def client(door):
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(door), base_url="https://mail.example.com", headers=BROWSER
    ) as client:
        yield client


@pytest.fixture
def told(bus):
    """A function that answers with the facts on the bus."""

    async def read():
        return [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]

    return read
