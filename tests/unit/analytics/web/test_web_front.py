"""What answers which path, by what `web.serve` says: over a real server."""

import asyncio
import json

import esps
import httpx
import pytest
from msgspec.structs import replace

from analytics.web import server
from analytics.web.settings import WebSettings

SETTINGS = WebSettings(port=0, links_url="https://mail.example.com", link_secret="s" * 32, webhooks=esps.webhooks())


@pytest.fixture
async def ask(bus, reports, clock):
    """A function that serves as the settings say, posts a callback, and answers with its status."""

    async def run(settings, headers=None, path=None):
        stop = asyncio.Event()
        with server.listen(settings) as listener:
            inside = None if settings.serve == "public" else reports
            running = asyncio.create_task(
                server.run(bus, inside, settings, clock=clock, listener=listener, stop=stop), name="served"
            )
            event = esps.event("mailgun", "delivered", "abcdefghijklmnop.spring", "ada@example.com", clock())
            _, body = esps.signed("mailgun", json.dumps(event).encode(), clock())
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                answer = await client.post(path or esps.path("mailgun"), content=body, headers=headers or {})
            stop.set()
            await asyncio.wait_for(running, 5)
        return answer.status_code

    return run


@pytest.mark.parametrize(("serve", "answers"), [("all", {200}), ("public", {200}), ("inside", {404, 405})])
async def test_esps_call_where_what_is_public_is_served(ask, serve, answers):
    assert await ask(replace(SETTINGS, serve=serve)) in answers


async def test_no_token_of_the_api_is_asked_for(ask):
    assert await ask(replace(SETTINGS, api_token="t" * 32)) == 200


async def test_without_a_secret_for_links_esps_may_call_all_the_same(ask):
    assert await ask(replace(SETTINGS, link_secret="")) == 200


async def test_where_no_endpoint_is_set_there_is_nothing(ask):
    assert await ask(replace(SETTINGS, serve="public", webhooks={})) in {404, 421}


async def test_an_address_that_a_proxy_tells_is_believed_of_trusted_proxies_alone(ask):
    settings = replace(SETTINGS, webhooks=esps.webhooks(allow_from=("198.51.100.0/24",)))
    forwarded = {"x-forwarded-for": "198.51.100.7"}
    assert await ask(settings) == 403
    assert await ask(settings, forwarded) == 200
    assert await ask(replace(settings, trusted_proxies=("192.0.2.1",)), forwarded) == 403
    assert await ask(settings, {"x-forwarded-for": "198.51.100.7, 203.0.113.9"}) == 403
