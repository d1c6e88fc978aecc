"""Bounce mail in a folder of a real Dovecot: read once, put away as the settings say, and never lost."""

import asyncio
import contextlib
import imaplib
import time
from itertools import count
from types import SimpleNamespace

import msgspec
import pytest
import trustme
from mtas.base import PASSWORD
from mtas.dovecot import Dovecot

from analytics.errors import MailboxRefused
from analytics.post import imap
from analytics.post.intake import Intake
from analytics.post.settings import BounceSettings, ImapSettings
from events import ids, metrics, schemas, streams, subjects
from events.errors import BusUnavailable
from events.memory_bus import MemoryBus
from events.schemas import Campaign
from events.verp import Verp, VerpChecker
from jetpost.components import bounces
from jetpost.process import Process
from jetpost.settings import Settings
from sender.settings import SenderSettings

SECRET = "sixteen or more letters"
ABROAD, ABROAD_ON_THE_WIRE = "Zurückgekommen & alt 台北", '"Zur&APw-ckgekommen &- alt &U,BTFw-"'
MOST_BYTES = 5_000

pytestmark = pytest.mark.mtas
users = count()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Paths of the server's certificate, made out to localhost, and of the authority's."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "server.pem", folder / "ca.pem"


@pytest.fixture(scope="module")
def dovecot(free_port, certificates):
    server = Dovecot(free_port, certificates[0])
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def bus():
    made = MemoryBus()
    await made.setup()
    campaign = Campaign("autumn", "Autumn", "running", "main", "bounces@news.example.com", 0.0)
    await (await made.bucket(streams.CAMPAIGNS)).put("autumn", schemas.encode_campaign(campaign))
    return made


@pytest.fixture
def settings(dovecot, certificates):
    """Of a mailbox that nobody else uses."""
    return ImapSettings(
        host="localhost",
        port=dovecot.ports["implicit"],
        ca_file=str(certificates[1]),
        username=f"user{next(users)}",
        password=PASSWORD,
        every_seconds=0.01,
    )


@pytest.fixture
def person(dovecot, settings):
    """A person's look into the mailbox."""
    return Person(dovecot, settings.username)


class Person:
    def __init__(self, dovecot, user):
        self.ports = {
            "none": dovecot.ports["clear"],
            "starttls": dovecot.ports["clear"],
            "implicit": dovecot.ports["implicit"],
        }
        self._user = user

    @contextlib.contextmanager
    def session(self):
        with imaplib.IMAP4("127.0.0.1", self.ports["none"]) as client:
            client.login(self._user, PASSWORD)
            yield client

    def put(self, *mails, folder="INBOX"):
        with self.session() as client:
            for mail in mails:
                assert client.append(folder, None, None, mail)[0] == "OK"

    def sees(self, folder="INBOX"):
        """Of every mail there: its flags."""
        with self.session() as client:
            kind, [number] = client.select(folder, readonly=True)
            assert kind == "OK", number
            answers = client.fetch("1:*", "(FLAGS)")[1] if number != b"0" else []
            return [imaplib.ParseFlags(one) for one in answers]


def notice(address="ann@example.org", reply="550 5.1.1 user unknown", more=""):
    back = Verp(SECRET).address("bounces@news.example.com", "autumn", ids.mail_id("autumn", address))
    text = f"""From: MAILER-DAEMON@mx.example.net
To: {back}
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: message/delivery-status

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; {reply}

--x
Content-Type: message/rfc822

To: {address}

{more}
--x--
"""
    return text.replace("\n", "\r\n").encode()


class Reading:
    """Takes mails until there were so many. `at`: what befalls it behind a mail that was stored, by the mail's number."""

    def __init__(self, bus, number, at=None):
        self.intake = Intake(bus, VerpChecker([SECRET]), None, time.time)
        self.stop = asyncio.Event()
        self.mails = []
        self._number = number
        self._at = at or {}

    async def take(self, sent_to, raw):
        self.mails.append(raw)
        number = len(self.mails)
        if number >= self._number:
            self.stop.set()
        result = await self.intake.take(sent_to, raw, "imap")
        if error := self._at.get(number):
            raise error
        return result

    async def run(self, settings):
        async with asyncio.timeout(30):
            await imap.run(settings, MOST_BYTES, self.take, self.stop, away_seconds=0.1)


async def kept(bus):
    return len([record async for record in bus.read("CALLBACKS", subjects.CALLBACKS_NEW)])


@pytest.mark.parametrize(
    ("tls", "after", "folders"),
    [
        ("none", "seen", {"INBOX": [(b"\\Seen",)] * 2}),
        ("starttls", "delete", {"INBOX": []}),
        ("implicit", "move", {"INBOX": [], "Jetpost": [()] * 2}),
    ],
)
async def test_mails_are_read_once_and_put_away(bus, settings, person, tls, after, folders):
    settings = msgspec.structs.replace(settings, port=person.ports[tls], tls=tls, after=after)
    mails = [notice(), notice("ben@example.org", "552 5.2.2 mailbox full")]
    person.put(*mails)
    await Reading(bus, 2).run(settings)
    assert await kept(bus) == 2
    seen = {
        folder: [[flag for flag in flags if flag != b"\\Recent"] for flags in person.sees(folder)] for folder in folders
    }
    assert seen == {folder: [list(flags) for flags in told] for folder, told in folders.items()}
    person.put(notice("eve@example.org"))
    reading = Reading(bus, 1)
    await reading.run(settings)
    assert reading.mails == [notice("eve@example.org")]


async def test_many_mails_in_folders_with_names_of_other_scripts(bus, settings, person):
    with person.session() as client:
        client.create(ABROAD_ON_THE_WIRE)
    mails = [notice(f"p{number}@example.org") for number in range(2 * imap.MAILS_AT_ONCE + 3)]
    person.put(*mails, folder=ABROAD_ON_THE_WIRE)
    reading = Reading(bus, len(mails))
    await reading.run(msgspec.structs.replace(settings, folder=ABROAD, move_to='a "quoted" & ü'))
    assert sorted(reading.mails) == sorted(mails)
    assert await kept(bus) == len(mails)
    assert (len(person.sees(ABROAD_ON_THE_WIRE)), len(person.sees('"a \\"quoted\\" &- &APw-"'))) == (0, len(mails))


async def test_of_a_large_mail_only_the_beginning_crosses_the_wire(bus, settings, person):
    person.put(notice(more="x" * 500_000))
    reading = Reading(bus, 1)
    await reading.run(settings)
    assert [len(mail) for mail in reading.mails] == [MOST_BYTES]
    assert await kept(bus) == 1


async def test_a_mail_that_the_server_cannot_read_costs_no_other(dovecot, bus, settings, person, caplog):
    person.put(*(notice(f"p{number}@example.org") for number in range(3)))
    files = sorted((dovecot.folder / "mail" / settings.username).glob("*/1*"), key=str)
    [broken] = [file for file in files if b"p1@example.org" in file.read_bytes()]
    broken.chmod(0)
    reading = Reading(bus, 3)
    running = asyncio.create_task(reading.run(settings))
    async with asyncio.timeout(30):
        while "stays in INBOX unread" not in caplog.text:  # noqa: ASYNC110 - the log is looked at
            await asyncio.sleep(0.01)
    person.put(notice("late@example.org"))
    await running
    assert await kept(bus) == 3
    assert len(person.sees()) == 1


async def test_a_mail_that_cannot_be_kept_stays_and_is_read_again(bus, settings, person):
    person.put(notice(), notice("ben@example.org"))
    reading = Reading(bus, 3, at={1: BusUnavailable("no connection")})
    await reading.run(settings)
    assert len(reading.mails) == 3
    assert person.sees() == []
    assert await kept(bus) == 2


async def test_who_dies_between_keeping_and_putting_away_reads_again_and_keeps_once(bus, settings, person):
    person.put(notice())
    with pytest.raises(MemoryError):
        await Reading(bus, 1, at={1: MemoryError()}).run(settings)
    assert len(person.sees()) == 1
    await Reading(bus, 1).run(settings)
    assert person.sees() == []
    assert await kept(bus) == 1


async def test_a_server_that_knows_neither_move_nor_uidplus_keeps_the_original_marked(bus, settings, dovecot):
    person, settings = Person(dovecot, "old"), msgspec.structs.replace(settings, username="old")
    person.put(notice())
    await Reading(bus, 1).run(settings)
    person.put(notice("ben@example.org"))
    reading = Reading(bus, 1)
    await reading.run(settings)
    assert reading.mails == [notice("ben@example.org")]
    assert [b"\\Deleted" in flags for flags in person.sees()] == [True, True]
    assert len(person.sees("Jetpost")) == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"password": "wrong"}, "does not let 'user.*' in: set bounces.imap.username and bounces.imap.password"),
        ({"folder": "Nowhere"}, "folder 'Nowhere' cannot be opened: make it, or set bounces.imap.folder to another"),
        ({"move_to": "a/b"}, "folder 'a/b' cannot be made: make it, or set bounces.imap.move_to to another"),
        ({"ca_file": ""}, "no certificate that is trusted here .*: set bounces.imap.ca_file"),
        ({"ca_file": "/nowhere.pem"}, "bounces.imap.ca_file: /nowhere.pem cannot be read: No such file"),
        ({"host": "127.0.0.1"}, "no certificate that is trusted here .*bounces.imap.host to the name in it"),
        ({"port": "clear"}, "does not begin with TLS: set bounces.imap.tls to starttls"),
    ],
)
async def test_what_a_person_must_mend_is_said(bus, settings, dovecot, wrong, told):
    if "port" in wrong:
        wrong = {"port": dovecot.ports[wrong["port"]]}
    with pytest.raises(MailboxRefused, match=told):
        await Reading(bus, 1).run(msgspec.structs.replace(settings, **wrong))


async def test_the_check_of_a_certificate_can_be_left_out(bus, settings, person):
    person.put(notice())
    await Reading(bus, 1).run(msgspec.structs.replace(settings, ca_file="", verify=False))
    assert await kept(bus) == 1


async def test_while_the_server_is_away_it_is_waited_for(bus, free_port, certificates, settings):
    server = Dovecot(free_port, certificates[0])
    settings = msgspec.structs.replace(settings, port=server.ports["implicit"])
    person, reading = Person(server, settings.username), Reading(bus, 2)
    running = asyncio.create_task(reading.run(settings))
    try:
        for number in range(2):
            await waits()
            await asyncio.to_thread(server.start)
            person.put(notice(f"p{number}@example.org"))
            async with asyncio.timeout(30):
                while len(reading.mails) <= number:  # noqa: ASYNC110 - a mail is waited for
                    await asyncio.sleep(0.01)
            if not number:
                await asyncio.to_thread(server.end)
        await running
    finally:
        running.cancel()
        await asyncio.to_thread(server.stop)
    assert await kept(bus) == 2


async def waits():
    async with asyncio.timeout(30):
        while metrics.STEPS_WAITING.labels("imap")._value.get() != 1:  # noqa: ASYNC110 - the gauge has no signal
            await asyncio.sleep(0.01)


async def test_the_process_reads_it_beside_its_other_doors(bus, settings, person):
    announced, stop = {}, asyncio.Event()
    configured = Settings(sender=SenderSettings(verp_secret=SECRET), bounces=BounceSettings(imap=settings))
    process = Process(configured, bus, stop, announced.update, SimpleNamespace())
    person.put(notice())
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(bounces.run(process))
        while not await kept(bus):  # noqa: ASYNC110 - the bus is looked at
            await asyncio.sleep(0.01)
        stop.set()
    assert set(announced) == {"lmtp"}
    wrong = msgspec.structs.replace(
        configured, bounces=BounceSettings(imap=msgspec.structs.replace(settings, password="x"))
    )
    with pytest.raises(MailboxRefused):
        await bounces.run(process._replace(settings=wrong, stop=asyncio.Event()))
