"""What users of NATS are refused, on a real server: those who face strangers above all."""

import json
import os
import signal

import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats_users import ADMIN, ServerWithUsers, password_of
from process_watching import until

from events import streams, subjects
from events.bus import Message
from events.errors import NotPermitted
from events.nats_bus import BusSettings, NatsBus
from events.nats_frames import frame
from events.permissions import COMPONENTS, NAMED, inbox_prefix

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTSIDE = ("public", "bounces")
MAIL = "mail.send.main.gmail.spring"
EVIL = b"a mail that nobody ordered"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    async with ServerWithUsers(tmp_path_factory.mktemp("nats")) as server:
        bus = await NatsBus.connect(settings_of(server, "setup"), name="test")
        await bus.setup()
        await bus.close()
        yield server


def settings_of(server, user):
    return BusSettings(url=server.url, user=user, password=password_of(user))


@pytest_asyncio.fixture(loop_scope="module")
async def admin(server):
    bus = await NatsBus.connect(settings_of(server, ADMIN), name="test")
    yield bus
    await bus.close()


class Intruder:
    """Somebody who has the password of a user, and no good in mind."""

    def __init__(self, bus):
        self._client = bus._client

    async def ask(self, subject, payload=b"{}", reply=""):
        """Whether the server refuses to take it; the answer goes where `reply` says."""
        refused = []
        forget = self._client.on_refused(subject, refused.append)
        await self._client.send(frame(subject, payload, reply.encode()))
        await self._client.settle()
        forget()
        return bool(refused)

    async def hear(self, subject):
        """Ask, and wait for the answer as everybody does."""
        await self._client.ask(subject, EVIL, 10)

    async def listen(self, subject):
        """Whether the server refuses to let it hear anything."""
        self._client._refusals.clear()
        handle = await self._client.receive(subject, lambda *_: None)
        await self._client.settle()
        await self._client.forget(handle)
        return subject in self._client._refusals


@pytest_asyncio.fixture(loop_scope="module")
async def enter(server):
    """Connects as a user."""
    buses = []

    async def enter(user):
        buses.append(await NatsBus.connect(settings_of(server, user), name="test"))
        return Intruder(buses[-1])

    yield enter
    for bus in buses:
        await bus.close()


TO_READ_OR_HARM = (
    "$JS.API.STREAM.PURGE.MAIL",
    "$JS.API.STREAM.PURGE.CALLBACKS",
    "$JS.API.STREAM.DELETE.MAIL",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.STREAM.UPDATE.MAIL",
    "$JS.API.STREAM.INFO.MAIL",
    "$JS.API.STREAM.MSG.GET.MAIL",
    "$JS.API.STREAM.MSG.DELETE.CALLBACKS",
    "$JS.API.STREAM.MSG.GET.EVENTS",
    "$JS.API.DIRECT.GET.MAIL",
    "$JS.API.DIRECT.GET.MAIL.mail.send.main.gmail.spring",
    "$JS.API.DIRECT.GET.EVENTS",
    "$JS.API.DIRECT.GET.CALLBACKS",
    "$JS.API.DIRECT.GET.SUPPRESSION",
    "$JS.API.DIRECT.GET.OBJ_blobs",
    "$JS.API.STREAM.MSG.GET.OBJ_blobs",
    "$JS.API.CONSUMER.CREATE.MAIL.x",
    "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.x",
    "$JS.API.CONSUMER.MSG.NEXT.MAIL.x",
    "$JS.API.CONSUMER.DELETE.EVENTS.ingester",
    "$JS.ACK.EVENTS.ingester.1.1.1.1.0",
    "$KV.campaigns.spring",
    "$O.links.M.x",
    "$O.blobs.M.x",
    "mail.send.main.gmail.spring",
    "events.accepted.spring",
    "claims",
    "suppression",
    "callbacks.parked.a.b",
    "$SYS.REQ.SERVER.PING",
)


@pytest.mark.parametrize("user", OUTSIDE)
async def test_who_faces_strangers_can_neither_read_nor_harm(enter, user):
    intruder = await enter(user)
    taken = [subject for subject in TO_READ_OR_HARM if not await intruder.ask(subject)]
    heard = [subject for subject in (">", "mail.>", "events.>") if not await intruder.listen(subject)]
    assert (taken, heard) == ([], [])


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
async def test_nobody_hears_the_answers_to_another(enter, component):
    intruder = await enter(component.name)
    others = [inbox_prefix(other.name) for other in COMPONENTS if other is not component]
    assert [inbox for inbox in ("_INBOX", *others) if not await intruder.listen(f"{inbox}.>")] == []
    assert not await intruder.listen(component.inbox)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
async def test_streams_are_the_business_of_setup(enter, component):
    intruder = await enter(component.name)
    endpoints = ["DELETE", *(["CREATE", "UPDATE"] if component.name != "setup" else [])]
    assert [name for name in endpoints if not await intruder.ask(f"$JS.API.STREAM.{name}.MAIL")] == []


@pytest.mark.parametrize("user", OUTSIDE)
async def test_whatever_those_who_face_strangers_ask_the_answer_goes_nowhere_but_to_them(enter, admin, user):
    """The server sends an answer wherever the question says. Were they in the account of the streams, they could have anything
    that they may store and read again delivered to MAIL."""
    intruder, overheard = await enter(user), []
    handle = await admin._client.receive(f"{inbox_prefix('sender')}.>", lambda *message: overheard.append(message))
    plain = [subject for subject in NAMED[user].publish if not {"*", ">"} & set(subject.split("."))]
    questions = ("callbacks.new.evil.evil", *plain)
    for target in (MAIL, subjects.SUPPRESSION, "events.accepted.spring", f"{inbox_prefix('sender')}.x"):
        for question in questions:
            assert not await intruder.ask(question, EVIL, target)
    for question in questions:
        await intruder.hear(question)  # it is answered after those
    await admin._client.settle()
    await admin._client.forget(handle)
    assert overheard == []
    for stream in (streams.MAIL, streams.SUPPRESSION, streams.EVENTS):
        assert (await admin.stream_state(stream.name)).messages == 0


async def test_inside_whoever_may_read_may_have_it_sent_anywhere(enter, admin):
    """Why those who face strangers are not inside. Should a server refuse this one day, they could be."""
    intruder = await enter("ingester")
    await admin.publish("CALLBACKS", [Message("callbacks.new.evil.evil", EVIL)])
    question = json.dumps({"last_by_subj": "callbacks.new.evil.evil"}).encode()
    assert not await intruder.ask("$JS.API.DIRECT.GET.CALLBACKS", question, MAIL)
    await until(lambda: lies_in_mail(admin))
    assert [record.payload async for record in admin.read("MAIL", ">")] == [EVIL]
    await admin.purge("MAIL", ">")


async def lies_in_mail(bus):
    return (await bus.stream_state("MAIL")).messages


async def test_what_was_taken_away_is_refused_until_it_is_given_back_and_nobody_is_cut_off(server):
    web = await NatsBus.connect(settings_of(server, "web"), name="test")
    file = server.store_dir / "nats-server.conf"
    given = file.read_text()

    async def is_refused():
        try:
            await web.purge("MAIL", ">")
        except NotPermitted:
            return True
        return False

    async def is_taken():
        return not await is_refused()

    try:
        for text, holds in ((given.replace('"$JS.API.STREAM.PURGE.MAIL"', '"nothing"'), is_refused), (given, is_taken)):
            file.write_text(text)
            os.kill(server.pid, signal.SIGHUP)
            await until(holds)
        assert web.interruptions == 0
    finally:
        await web.close()


async def test_the_system_account_is_for_its_user_alone(server):
    client = Client()
    await client.connect(server.url, user="sys", password=password_of("sys"))
    answer = json.loads((await client.request("$SYS.REQ.SERVER.PING", b"")).data)
    assert answer["server"]["name"] == "jetpost-embedded"
    await client.close()


async def test_the_store_has_the_limit_of_the_configuration(admin):
    assert (await admin.storage()).limit == 2_000_000_000
