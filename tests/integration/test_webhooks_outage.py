"""A burst of callbacks while NATS is away: 503, and nothing lost, as ESPs send it again."""

import asyncio
import json
import time
from collections import Counter

import esps
import httpx
import pytest

from analytics.web import server
from analytics.web.settings import WebSettings
from events import callbacks
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

BURST = 600
AT_ONCE = 60


@pytest.fixture
async def nats(tmp_path):
    async with NatsServer(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def own_bus(nats):
    bus = await NatsBus.connect(BusSettings(url=nats.url), name="test")
    await bus.setup()
    yield bus
    await bus.close()


@pytest.fixture
async def client(own_bus):
    """Of a real server that serves what is public."""
    settings = WebSettings(
        port=0, serve="public", links_url="https://mail.example.com", link_secret="s" * 32, webhooks=esps.webhooks()
    )
    stop = asyncio.Event()
    with server.listen(settings) as listener:
        port = listener.getsockname()[1]
        served = asyncio.create_task(server.run(own_bus, None, settings, clock=time.time, listener=listener, stop=stop))
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30) as client:
            yield client
        stop.set()
        await served


async def test_bursts_while_nats_is_away_are_answered_503_and_come_again(nats, own_bus, client):
    answers = Counter()
    answered = asyncio.Event()

    async def call_back(number):
        """As an ESP does: again and again, until it is taken."""
        headers, body = esps.signed("mailgun", json.dumps({"event": "opened", "id": f"{number}"}).encode(), time.time())
        while True:
            answer = await client.post(esps.path("mailgun"), content=body, headers=headers)
            answers[answer.status_code] += 1
            if answers[503] >= AT_ONCE:
                answered.set()
            if answer.status_code == 200:
                return
            await asyncio.sleep(0.2)

    async def outage():
        await nats.stop()
        async with asyncio.timeout(30):
            await answered.wait()
        await nats.start()

    first = asyncio.gather(*(call_back(number) for number in range(BURST)))
    await asyncio.gather(first, outage())
    assert set(answers) == {200, 503}
    assert answers[200] == BURST
    stored = [callbacks.decode(record.payload) async for record in own_bus.read("CALLBACKS", "callbacks.new.>")]
    kept = Counter(json.loads(callbacks.body_of(one, one.body))["event-data"]["id"] for one in stored)
    assert kept == {f"{number}": 1 for number in range(BURST)}
