"""Mails go from a real queue through a whole sender to the mailbox simulator, and what passed by on the wire is verified: by
dkimpy, by opendkim, and by our own check."""

import asyncio
import re
import time
from contextlib import asynccontextmanager

import dkim_keys
import msgspec
import opendkim
import pytest
import smtp_servers
from producing import COMPILED, SETTINGS

from events import ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor, encode_dictionary
from events.schemas import Campaign, Mail
from producer.campaign.compiled import Mailbox, Unsubscribe
from producer.recipients.recipient import Recipient
from producer.rendering.renderer import compile_campaign
from sender import worker
from sender.dkim.verification import verify
from sender.drivers.smtp_pool import SmtpPool
from sender.settings import Relay, SenderSettings

CAMPAIGN = msgspec.structs.replace(
    COMPILED,
    from_=Mailbox(
        "letters@news.example.com", "The Létters, Inc. and whatever else makes this line so long that it is folded"
    ),
    reply_to=(Mailbox("desk@example.com", "Desk"),),
    text="Hello {{ name }},\n\n.\n..dots\nFrom here  \n\t\n\n\n",
    unsubscribe=Unsubscribe(mailto="leave@example.com"),
    feedback_id=("autumn", "main", "letter", "example"),
    headers=(("X-Kind", "letter"),),
)
NAMES = ("Ada", "Zoë", "山田太郎", "x" * 300, "two  blanks", ".")
WAYS = {"bdat": {}, "data": {"chunking": False}, "one at a time": {"pipelining": False}}


class Tap:
    """Stands between a client and a server, and keeps what the client says."""

    def __init__(self, port):
        self._port = port
        self.heard = []
        self._tasks = set()

    async def __call__(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        heard = bytearray()
        self.heard.append(heard)
        await asyncio.gather(_pass_on(reader, server_writer, heard), _pass_on(server_reader, writer, bytearray()))

    def messages(self):
        return [message for heard in self.heard for message in _messages(bytes(heard))]


async def _pass_on(reader, writer, heard):
    while data := await reader.read(65_536):
        heard += data
        writer.write(data)
        await writer.drain()
    writer.close()


def _messages(heard):
    """From what a client said in a session of well-behaved commands."""
    while found := re.search(rb"^(?:BDAT (\d+) LAST|DATA)\r\n", heard, re.MULTILINE):
        heard = heard[found.end() :]
        if found[1]:
            yield heard[: int(found[1])]
            heard = heard[int(found[1]) :]
        else:
            # with pipelining nothing stands between DATA and the message
            message, _, heard = heard.partition(b"\r\n.\r\n")
            yield re.sub(rb"^\.", b"", message, flags=re.MULTILINE) + b"\r\n"


@asynccontextmanager
async def tapped(port):
    tap = Tap(port)
    async with smtp_servers.scripted(tap) as server:
        yield tap, server.port


async def queue(bus):
    """What a producer leaves behind for one mail to each of the names; the mails, by address."""
    renderer = compile_campaign(CAMPAIGN, SETTINGS)
    rows = [Recipient(f"reader{n}@gmail.com", "gmail", False, (name,)) for n, name in enumerate(NAMES)]
    dictionary = encode_dictionary(renderer.dictionary(rows[0]))
    await (await bus.blobs()).put("autumn/dictionary", dictionary)
    for lane in streams.lanes("autumn", "main"):
        await bus.create_consumer(lane)
    from_header = f"{CAMPAIGN.from_.name} <{CAMPAIGN.from_.address}>"
    campaign = Campaign("autumn", "Autumn", "running", "main", "b@example.com", time.time(), from_header=from_header)
    await (await bus.bucket(streams.CAMPAIGNS)).put("autumn", schemas.encode_campaign(campaign))
    rendered = [(row.address, renderer.render(row)) for row in rows]
    compress = Compressor(dictionary).compress
    mails = [Mail(one.mail_id, address, 1, time.time(), compress(one.message)) for address, one in rendered]
    due = subjects.mail_due("main", "gmail", "autumn")
    messages = [Message(due, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1)) for mail in mails]
    await bus.publish("MAIL", messages)
    return {one.mail_id: one.message for _, one in rendered}


async def send_everything(bus, relay):
    settings = SenderSettings(pools={"main": relay}, dkim={"example.com": dkim_keys.settings()}, fetch_wait_seconds=0.5)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(bus, settings, SmtpPool, clock=time.time, stop=stop))
    async with asyncio.timeout(20):
        while (await bus.stream_state("MAIL")).messages and not running.done():
            await asyncio.wait([running], timeout=0.02)
    stop.set()
    await running


@pytest.fixture(params=WAYS.values(), ids=WAYS)
async def sent(request, nats_bus, tmp_path):
    """What was queued, and what the wire heard, by mail id."""
    async with smtp_servers.simulator(tmp_path) as simulator, tapped(simulator.port) as (tap, port):
        queued = await queue(nats_bus)
        await send_everything(nats_bus, Relay(port=port, max_connections=2, pipeline_depth=4, **request.param))
        assert sorted(await simulator.accepted()) == sorted(queued)
        return queued, {smtp_servers.mail_id(message): message for message in tap.messages()}


async def test_mails_arrive_with_two_signatures_that_everybody_finds_good(sent, tmp_path):
    queued, heard = sent
    assert heard.keys() == queued.keys()
    for mail_id, message in heard.items():
        assert message.endswith(queued[mail_id])
        assert dkim_keys.dkimpy_verdicts(message) == [True, True]
        verdicts = verify(message, dkim_keys.texts(), time.time())
        assert [verdict.problem for verdict in verdicts] == ["", ""]
        assert {"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID"} <= set(verdicts[0].signed)


async def test_opendkim_finds_them_good_and_notices_a_change(sent, tmp_path):
    _, heard = sent
    for message in heard.values():
        assert opendkim.verdicts(message, dkim_keys.texts(), tmp_path) == [
            ("rsa-sha256", "pass"),
            ("ed25519-sha256", "pass"),
        ]
        changed = message.replace(b"https://news.example.com/u/", b"https://evil.example.com/u/", 1)
        assert {verdict for _, verdict in opendkim.verdicts(changed, dkim_keys.texts(), tmp_path)} == {"fail"}
