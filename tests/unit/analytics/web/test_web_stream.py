"""The live stream over a real server, as a browser's EventSource reads it."""

import asyncio
import json

import httpx
import pytest

from analytics.web import stream
from analytics.web.hub import Hub


async def messages(response):
    """(id, document) of each message."""
    number = None
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            yield number, json.loads(line[6:])


async def test_a_campaign_is_followed(served):
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{served}/api/stream?campaign=spring-launch") as got,
    ):
        assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert got.headers["cache-control"] == "no-store"
        found = messages(got)
        (first, document), (second, _) = await anext(found), await anext(found)
    assert second > first
    assert document["campaign"]["name"] == "Spring launch"
    assert document["figures"]["progress"]["consistent"]
    assert document["events"]


async def test_the_overview_is_followed_and_a_last_event_id_does_no_harm(served):
    headers = {"Last-Event-ID": "41"}
    async with httpx.AsyncClient() as client, client.stream("GET", f"{served}/api/stream", headers=headers) as got:
        _, document = await anext(messages(got))
    assert len(document["campaigns"]) == 6


async def test_what_does_not_exist_cannot_be_followed(served):
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{served}/api/stream?campaign=nowhere")
    assert response.status_code == 404


async def test_without_clickhouse_the_stream_goes_on_and_says_so(served, reports):
    reports.unavailable = True
    async with httpx.AsyncClient() as client, client.stream("GET", f"{served}/api/stream?campaign=win-back") as got:
        _, document = await anext(messages(got))
    assert document["health"]["analytics"] == "unavailable"
    assert document["campaign"]["status"] == "paused"
    assert document["figures"] is None


class Client:
    """The other end of an ASGI response: collects what is sent, and leaves when told."""

    def __init__(self):
        self.sent = []
        self.gone = asyncio.Event()
        self.got = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)
        self.got.set()


async def compose(topic):
    return b"{}"


@pytest.fixture
def client():
    return Client()


async def test_a_client_that_leaves_is_forgotten(client):
    hub = Hub(compose)
    answering = asyncio.create_task(stream.EventStream(hub, "spring")({}, client.receive, client.send))
    await client.got.wait()
    assert hub.topics == {"spring"}
    client.gone.set()
    await answering
    assert hub.topics == frozenset()


async def test_silence_is_filled_with_comments(client, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.001)
    hub = Hub(compose)
    answering = asyncio.create_task(stream.EventStream(hub, "spring")({}, client.receive, client.send))
    while len(client.sent) < 4:
        client.got.clear()
        await client.got.wait()
    client.gone.set()
    await answering
    assert client.sent[-1]["body"] == b": still here\n\n"


async def test_a_client_that_takes_nothing_is_dropped(client, monkeypatch):
    monkeypatch.setattr(stream, "STALLED_SECONDS", 0.01)
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.001)

    async def stuck(message):
        if message.get("body", b"").startswith(b":"):
            await asyncio.Event().wait()

    hub = Hub(compose)
    await asyncio.wait_for(stream.EventStream(hub, "spring")({}, client.receive, stuck), 5)
    assert hub.topics == frozenset()


async def test_a_closing_hub_ends_the_answer_properly(client):
    hub = Hub(compose)
    answering = asyncio.create_task(stream.EventStream(hub, "spring")({}, client.receive, client.send))
    await client.got.wait()
    await asyncio.sleep(0)
    hub.close()
    await answering
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
