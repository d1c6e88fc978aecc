"""What is proven to be about a mail of ours is kept; nothing else, whoever sends it."""

import asyncio

import pytest
from permitted_bus import PermittedBus

from analytics.bounces.telling import ESP
from analytics.callbacks.base import Request
from analytics.post.intake import KEPT_BYTES, LOOKED_AGAIN_SECONDS, Intake
from events import callbacks, ids, permissions, schemas, streams, subjects
from events.errors import BusUnavailable
from events.memory_bus import MemoryBus
from events.schemas import Campaign
from events.tokens import Checker, Signer
from events.verp import Verp, VerpChecker

SECRET, STRANGERS = "a secret of ours, long", "a secret of others, long"
ANN = "ann@example.org"
MAIL = ids.mail_id("autumn", ANN)


def return_path(secret=SECRET, campaign="autumn"):
    return Verp(secret).address("bounces@news.example.com", campaign, ids.mail_id(campaign, ANN))


def notice(action="failed", extra="", body="Message-ID: <x@y>\n"):
    return f"""From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

Your mail could not be delivered.
--x
Content-Type: message/delivery-status

Final-Recipient: rfc822; {ANN}
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user
{extra}
--x
Content-Type: text/rfc822-headers

{body}
--x--
""".encode()


async def add_campaign(bus, name):
    campaign = Campaign(name, name, "running", "main", "", 0.0)
    await (await bus.bucket(streams.CAMPAIGNS)).put(name, schemas.encode_campaign(campaign))


@pytest.fixture
async def bus():
    made = MemoryBus()
    await made.setup()
    await add_campaign(made, "autumn")
    return made


@pytest.fixture
def intake(bus, clock):
    return Intake(
        PermittedBus(bus, permissions.BOUNCES), VerpChecker([SECRET]), Checker([SECRET], "unsubscribe"), clock
    )


async def kept(bus):
    """What those who hear of callbacks make of what was kept."""
    found = [callbacks.decode(record.payload) async for record in bus.read("CALLBACKS", subjects.CALLBACKS_NEW)]
    told = [ESP.tell(Request(one.headers, callbacks.body_of(one, one.body), None)) for one in found]
    return [(event.event, event.bounce, event.recipient, event.reference) for one in told for event in one.events]


async def test_a_bounce_to_a_return_path_of_ours(bus, intake):
    assert await intake.take([return_path()], notice(), "lmtp") == "kept"
    assert await kept(bus) == [("bounced", "hard", ANN, f"{MAIL}.autumn")]


async def test_the_same_bounce_again_is_kept_once(bus, intake):
    for _ in range(2):
        assert await intake.take([return_path()], notice(), "lmtp") == "kept"
    assert len(await kept(bus)) == 1


async def test_a_report_that_gives_back_our_unsubscribe_link(bus, intake):
    link = Signer(SECRET, "unsubscribe").token("autumn", MAIL)
    raw = f"""From: fbl@provider.example
Content-Type: multipart/report; report-type=feedback-report; boundary="x"

--x
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1

--x
Content-Type: message/rfc822

To: redacted@provider.example
List-Unsubscribe: <https://news.example.com/u/{link}>
Subject: Hello

Hello
--x--
""".encode()
    assert await intake.take(["fbl@news.example.com"], raw, "smtp") == "kept"
    assert await kept(bus) == [("complained", None, "", f"{MAIL}.autumn")]


@pytest.mark.parametrize(
    ("sent_to", "body"),
    [
        (return_path(STRANGERS), ""),
        ("bounces@news.example.com", f"Message-ID: <{MAIL}.autumn@news.example.com>"),
        (
            "bounces@news.example.com",
            f"List-Unsubscribe: <https://x.example/u/{Signer(STRANGERS, 'unsubscribe').token('autumn', MAIL)}>",
        ),
        (return_path(campaign="of-somebody-else"), ""),
    ],
)
async def test_what_strangers_make_changes_nothing(bus, intake, sent_to, body):
    assert await intake.take([sent_to], notice(body=body), "smtp") == "not_ours"
    assert await kept(bus) == []


async def test_a_vacation_tells_nothing(bus, intake):
    raw = b"From: ann@example.org\nAuto-Submitted: auto-replied\nSubject: I am away\n\nBack soon.\n"
    assert await intake.take([return_path()], raw, "lmtp") == "nothing"
    assert await kept(bus) == []


class Reads:
    """A bus that counts how often campaigns are asked for."""

    def __init__(self, bus):
        self._bus = bus
        self.number = 0
        self.away = False

    def __getattr__(self, name):
        return getattr(self._bus, name)

    async def bucket(self, spec):
        self.number += 1
        await asyncio.sleep(0)
        if self.away:
            raise BusUnavailable("no connection")
        return await self._bus.bucket(spec)


@pytest.fixture
def reads(bus):
    return Reads(bus)


@pytest.fixture
def reading(reads, clock):
    return Intake(reads, VerpChecker([SECRET]), Checker([SECRET], "unsubscribe"), clock)


async def test_a_campaign_that_is_new_is_found_at_once(bus, reading):
    assert await reading.take([return_path()], notice(), "lmtp") == "kept"
    await add_campaign(bus, "winter")
    assert await reading.take([return_path(campaign="winter")], notice(), "lmtp") == "kept"


async def test_mails_that_come_together_wait_for_the_campaigns(bus, reads, reading):
    takes = (reading.take([return_path()], notice(extra=f"X-Number: {number}"), "lmtp") for number in range(8))
    assert await asyncio.gather(*takes) == ["kept"] * 8
    assert reads.number == 1


async def test_a_mail_that_comes_while_campaigns_cannot_be_read_is_put_off(reads, reading):
    reads.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            await reading.take([return_path()], notice(), "lmtp")
    reads.away = False
    assert await reading.take([return_path()], notice(), "lmtp") == "kept"


async def test_a_campaign_that_is_gone_is_asked_for_now_and_then_and_what_strangers_write_never(
    bus, reads, reading, clock
):
    for _ in range(3):
        assert await reading.take([return_path(campaign="gone")], notice(), "lmtp") == "not_ours"
        assert await reading.take([return_path(STRANGERS)], notice(), "smtp") == "not_ours"
    assert reads.number == 1
    clock.advance(LOOKED_AGAIN_SECONDS)
    await add_campaign(bus, "gone")
    assert await reading.take([return_path(campaign="gone")], notice(), "lmtp") == "kept"


async def test_of_a_large_mail_the_beginning_is_kept(bus, intake):
    assert await intake.take([return_path()], notice(body="Subject: x\n\n" + "A" * 2 * KEPT_BYTES), "lmtp") == "kept"
    assert [event[0] for event in await kept(bus)] == ["bounced"]


async def test_while_nats_is_away_nothing_is_taken(bus, intake, monkeypatch):
    async def away(*_):
        raise BusUnavailable("no connection")

    monkeypatch.setattr(bus, "publish", away)
    with pytest.raises(BusUnavailable):
        await intake.take([return_path()], notice(), "lmtp")
