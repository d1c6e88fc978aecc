"""The example of docs/webhooks.md: what a script of one's own sends is believed, as it stands there."""

import asyncio
import re
import shutil
import time
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from analytics.callbacks.base import EventName, Request
from analytics.callbacks.registry import ESPS
from analytics.web import server
from analytics.web.settings import WebSettings
from analytics.web.webhooks.settings import Webhook
from events import callbacks, subjects
from events.memory_bus import MemoryBus

GUIDE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
EXAMPLE = next(block for block in re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE) if "curl" in block)
SECRET = re.search(r"SECRET='(.*?)'", EXAMPLE)[1]
HOST = "https://mail.example.com"

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed"
)


@pytest.fixture
async def bus():
    bus = MemoryBus(time.time)
    await bus.setup()
    yield bus
    await bus.close()


@pytest.fixture
async def address(bus):
    webhook = Webhook(esp="standard", signing_secrets=(SECRET,))
    settings = WebSettings(port=0, serve="public", links_url=HOST, link_secret="s" * 32, webhooks={"crm": webhook})
    listener, stop = server.listen(settings), asyncio.Event()
    serving = server.run(bus, None, settings, clock=time.time, listener=listener, stop=stop)
    running = asyncio.create_task(serving)
    yield server.address_of(listener, msgspec.structs.replace(settings, links_url=""))
    stop.set()
    await running


async def run(script):
    process = await asyncio.create_subprocess_exec("sh", "-ec", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_the_example_is_stored_and_what_it_tells_is_understood(bus, address):
    script = EXAMPLE.replace(HOST, address).replace("curl ", f"curl --silent --header 'Host: {HOST[8:]}' ")
    assert await run(script) == "stored\n"
    (record,) = [record async for record in bus.read("CALLBACKS", subjects.CALLBACKS_NEW)]
    stored = callbacks.decode(record.payload)
    request = Request(stored.headers, callbacks.body_of(stored, stored.body), stored.received_at)
    (event,) = ESPS["standard"].tell(request).events
    assert (event.event, event.recipient) == ("unsubscribed", "ann@example.com")
    assert event.reference == "abcdefghijklmnop.spring-sale@example.com"
    assert await run(script.replace(SECRET, "another")) != "stored\n"


def test_all_events_that_may_be_told_are_listed():
    row = re.search(r"^\| `event` \|(.*)$", GUIDE, re.MULTILINE)[1]
    assert re.findall(r"`(\w+)`", row) == list(get_args(EventName))
