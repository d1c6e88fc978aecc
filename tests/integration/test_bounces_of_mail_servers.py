"""Real mail servers take mails, find that they cannot deliver them, and send notices back to our return paths."""

import asyncio
import smtplib
import time
from functools import partial

import pytest
from mtas.returning import RETURN_DOMAIN, ReturningExim, ReturningOpenSmtpd, ReturningPostfix
from smtp_servers import simulator

from analytics.bounces.telling import ESP, NAME
from analytics.callbacks.base import Request
from analytics.hearing.meaning import About, fact_of
from analytics.post import door
from analytics.post.intake import Intake
from analytics.post.settings import BounceSettings
from events import callbacks, ids, schemas, streams, subjects
from events.esps import read_reference
from events.memory_bus import MemoryBus
from events.schemas import Campaign
from events.verp import Verp, VerpChecker

SECRET = "sixteen or more letters"
BOUNCES = f"bounces@{RETURN_DOMAIN}"
HARD, SOFT, BLOCK, VAIN = (("bounced", failure_class) for failure_class in ("hard", "soft", "block", "transient"))
LATER = ("deferred", "")
REFUSED_ONWARD = {
    "ann+unknown@example.org": (*HARD, 550, "5.1.1"),
    "ann+full@example.org": (*SOFT, 552, "5.2.2"),
    "ann+blocked@example.org": (*BLOCK, 550, "5.7.1"),
    "ann+tempfail@example.org": (*LATER, 451, "4.3.0"),
}
"""The words are those of the server that they were handed on to, the simulator."""
WAITED_IN_VAIN = "ann+tempfail@given-up.example"
REFUSED_ALONE = {
    ReturningPostfix: {
        "ann@gone.example": (*HARD, 0, "5.1.1"),  # it gives the reasons of its own transports without a code
        "ann@full.example": (*SOFT, 0, "5.2.2"),
        "ann@busy.example": (*LATER, 0, "4.2.1"),
    },
    ReturningExim: {
        "ann@gone.example": (*SOFT, 0, "5.0.0"),  # "Unrouteable address": may be a mistake in its own configuration
        "ann@full.example": (*SOFT, 0, "5.0.0"),
        WAITED_IN_VAIN: (*VAIN, 451, "4.3.0"),
    },
    ReturningOpenSmtpd: {WAITED_IN_VAIN: (*VAIN, 0, "4.4.7")},  # which it calls delayed
}


@pytest.fixture
async def bus():
    made = MemoryBus()
    await made.setup()
    campaign = Campaign("autumn", "Autumn", "running", "main", BOUNCES, 0.0)
    await (await made.bucket(streams.CAMPAIGNS)).put("autumn", schemas.encode_campaign(campaign))
    return made


@pytest.mark.mtas
@pytest.mark.parametrize("kind", REFUSED_ALONE, ids=lambda kind: kind.name)
async def test_notices_say_what_became_of_each_mail(kind, bus, free_port, tmp_path):
    intake = Intake(bus, VerpChecker([SECRET]), None, time.time)
    people = REFUSED_ONWARD | REFUSED_ALONE[kind]
    async with (
        door.listening(BounceSettings(), partial(intake.take, endpoint="lmtp")) as (_, port),
        simulator(tmp_path) as onward,
    ):
        mta = kind(free_port, tmp_path / "none.pem")
        mta.onward, mta.back = onward.port, port
        try:
            await asyncio.to_thread(mta.start)
            await asyncio.to_thread(send, mta.ports["clear"], people)
            told = await until(bus, len(people))
        finally:
            await asyncio.to_thread(mta.stop)
    assert {event.recipient: said(event) for event in told} == people
    assert {event.reference for event in told} == {f"{ids.mail_id('autumn', address)}.autumn" for address in people}


def send(port, people):
    verp = Verp(SECRET)
    with smtplib.SMTP("127.0.0.1", port) as server:
        for address in people:
            back = verp.address(BOUNCES, "autumn", ids.mail_id("autumn", address))
            server.sendmail(back, [address], f"To: {address}\r\nSubject: Hello\r\n\r\nHello\r\n")


def said(event):
    """What happened, of which class, and the codes; and a hard bounce, no other, suppresses."""
    fact = fact_of(event, About(read_reference(event.reference), "", ()), NAME, time.time(), ())
    failure_class = fact.failure_class if fact else ""
    assert (event.bounce == "hard") == (failure_class == "hard") == bool(fact and fact.suppress)
    return event.event, failure_class, event.code, event.enhanced


async def until(bus, number):
    """The events of what was kept, as soon as there are so many; who is given up later may be delayed before."""
    async with asyncio.timeout(60):
        while True:
            found = [callbacks.decode(record.payload) async for record in bus.read("CALLBACKS", subjects.CALLBACKS_NEW)]
            told = [ESP.tell(Request(one.headers, callbacks.body_of(one, one.body), None)) for one in found]
            events = {event.dedupe: event for one in told for event in one.events}
            events = [e for e in events.values() if (e.recipient, e.event) != (WAITED_IN_VAIN, "deferred")]
            if len(events) >= number:
                return events
            await asyncio.sleep(0.05)
