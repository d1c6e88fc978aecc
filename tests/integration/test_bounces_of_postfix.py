"""A real Postfix takes mails, finds that it cannot deliver them, and sends notices back to our return paths."""

import asyncio
import smtplib
import time
from functools import partial

import pytest
from mtas.postfix import Postfix

from analytics.bounces.telling import ESP
from analytics.callbacks.base import Request
from analytics.post import door
from analytics.post.intake import Intake
from analytics.post.settings import BounceSettings
from events import callbacks, ids, schemas, streams, subjects
from events.memory_bus import MemoryBus
from events.schemas import Campaign
from events.verp import Verp, VerpChecker

SECRET = "sixteen or more letters"
BOUNCES = "bounces@news.example.com"
MORE = """
transport_maps = regexp:{folder}/conf/transport
smtpd_reject_unlisted_recipient = no
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
"""
TRANSPORT = """/\\+gone@/ error:5.1.1 User unknown
/\\+full@/ error:5.2.2 Mailbox is full
/\\+later@/ retry:4.2.1 Mailbox is busy
/^bounces(\\+.*)?@news\\.example\\.com$/ lmtp:inet:127.0.0.1:{port}
"""
PEOPLE = {
    f"ann+{tag}@example.org": told
    for tag, told in {
        "gone": ("bounced", "hard", 550, "5.1.1"),
        "full": ("bounced", "soft", 552, "5.2.2"),
        "later": ("deferred", None, 450, "4.2.1"),
    }.items()
}


class Returning(Postfix):
    """Accepts everything, and finds out later."""

    lmtp_port = 0

    def prepare(self):
        super().prepare()
        self._write("conf/transport", TRANSPORT.format(port=self.lmtp_port))
        services = "".join(f"{name} unix - - n - - {name}\n" for name in ("error", "lmtp"))
        self._add("conf/main.cf", MORE.format(folder=self.folder))
        self._add("conf/master.cf", f"{services}retry unix - - n - - error\n")

    def _add(self, name, text):
        self._write(name, (self.folder / name).read_text() + text)


@pytest.fixture
async def bus():
    made = MemoryBus()
    await made.setup()
    campaign = Campaign("autumn", "Autumn", "running", "main", BOUNCES, 0.0)
    await (await made.bucket(streams.CAMPAIGNS)).put("autumn", schemas.encode_campaign(campaign))
    return made


@pytest.mark.mtas
async def test_notices_of_postfix_say_what_became_of_each_mail(bus, free_port, tmp_path):
    intake = Intake(bus, VerpChecker([SECRET]), None, time.time)
    async with door.listening(BounceSettings(), partial(intake.take, endpoint="lmtp")) as (_, port):
        postfix = Returning(free_port, tmp_path / "none.pem")
        postfix.lmtp_port = port
        try:
            await asyncio.to_thread(postfix.start)
            await asyncio.to_thread(send, postfix.ports["clear"])
            told = await until(bus, len(PEOPLE))
        finally:
            await asyncio.to_thread(postfix.stop)
    mails = {ids.mail_id("autumn", address): address for address in PEOPLE}
    assert {mails[event.reference.partition(".")[0]] for event in told} == set(PEOPLE)
    for event in told:
        name, bounce, code, enhanced = PEOPLE[event.recipient]
        assert (event.event, event.bounce, event.enhanced) == (name, bounce, enhanced)
        assert event.code in {0, code}  # Postfix gives the reasons of its own transports without a code


def send(port):
    verp = Verp(SECRET)
    with smtplib.SMTP("127.0.0.1", port) as server:
        for address in PEOPLE:
            back = verp.address(BOUNCES, "autumn", ids.mail_id("autumn", address))
            server.sendmail(back, [address], f"To: {address}\r\nSubject: Hello\r\n\r\nHello\r\n")


async def until(bus, number):
    """The events of what was kept, as soon as there are so many."""
    async with asyncio.timeout(60):
        while True:
            found = [callbacks.decode(record.payload) async for record in bus.read("CALLBACKS", subjects.CALLBACKS_NEW)]
            told = [ESP.tell(Request(one.headers, callbacks.body_of(one, one.body), None)) for one in found]
            events = {event.dedupe: event for one in told for event in one.events}
            if len(events) >= number:
                return list(events.values())
            await asyncio.sleep(0.05)
