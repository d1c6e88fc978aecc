"""The drivers against real mail servers: Postfix, Exim, OpenSMTPD and aiosmtpd. What they stored is compared byte for byte.

docs/smtp.md tells what was found.
"""

import asyncio
import re
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from itertools import count, cycle
from random import Random

import pytest
import trustme
from mtas.aiosmtpd import Aiosmtpd
from mtas.base import LARGEST, PASSWORD, USER
from mtas.cut import cut
from mtas.exim import Exim
from mtas.opensmtpd import OpenSmtpd
from mtas.postfix import Postfix

from sender.drivers import smtp_wire
from sender.drivers.base import Accepted, ConnectionFailed, NotTried, Outbound, Refused, Unknown
from sender.drivers.smtp_connection import PipelinedDriver
from sender.drivers.smtp_pool import SmtpPool
from sender.settings import Relay

MTAS = {mta.name: mta for mta in (Postfix, Exim, OpenSmtpd, Aiosmtpd)}
WAYS = {"bdat": {}, "data": {"chunking": False}, "one at a time": {"pipelining": False}}
PIPELINING = ("postfix", "exim")
EVERY_WAY = [(name, way) for name in MTAS for way in (WAYS if name in PIPELINING else ["bdat"])]
MAILS = 50
TRACE = re.compile(
    rb"(?:(?:Return-path|Envelope-to|Delivery-date|Delivered-To|X-Original-To|Received): .*\n(?:[ \t].*\n)*)*",
    re.IGNORECASE,
)
DOORS = [(name, door, way) for name in PIPELINING for door in ("clear", "starttls", "implicit") for way in WAYS]
DOORS += [(name, f"without {what}", "bdat") for name in PIPELINING for what in ("chunking", "pipelining")]
DOORS += [("aiosmtpd", door, "bdat") for door in ("clear", "starttls", "implicit")] + [("opensmtpd", "clear", "bdat")]
WITH_AUTH = ("postfix", "exim", "aiosmtpd")

pytestmark = pytest.mark.mtas
numbers = count(1)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def certificates(authority, tmp_path_factory):
    """Paths of the server's certificate, made out to localhost, and of the authority's."""
    folder = tmp_path_factory.mktemp("certificates")
    authority.issue_cert("localhost", key_type=trustme.KeyType.RSA).private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "server.pem").chmod(0o600)
    return folder / "server.pem", folder / "ca.pem"


@pytest.fixture(scope="module")
def servers(free_port, certificates):
    """A function that returns the server of a name, started; each is shared by all tests of this module."""
    running = {}

    def server(name):
        if name not in running:
            running[name] = MTAS[name](free_port, certificates[0])
            running[name].start()
        return running[name]

    yield server
    for one in running.values():
        one.stop()


@pytest.fixture
def mta(request, servers):
    return servers(request.param)


@pytest.fixture
async def pool_of(certificates):
    """A function that makes a pool for a door of a server; it is closed in the end."""
    async with AsyncExitStack() as stack:

        def pool_of(mta, door, **more):
            relay = {"port": mta.ports[door], "helo_name": "client.example.test", "max_connections": 3}
            if door in {"starttls", "implicit"}:
                relay |= {"host": "localhost", "tls": door, "ca_file": str(certificates[1])}
                relay |= {"username": USER, "password": PASSWORD}
            pool = SmtpPool("conformance", Relay(**relay | more))
            stack.push_async_callback(pool.close)
            return pool

        sockets = asyncio.get_running_loop()._selector.get_map()
        before = len(sockets)
        yield pool_of
    async with asyncio.timeout(5):
        while len(sockets) > before:  # noqa: ASYNC110 - ends of TLS sessions are waited for
            await asyncio.sleep(0.01)


def mail(body=b"hello\r\n", recipient="{}@example.org", sender="b@example.com", subject="x", **more):
    number = next(numbers)
    mail_id = f"mail{number:012d}"
    head = f"Message-ID: <{mail_id}.c@example.com>\r\nFrom: b@example.com\r\nTo: r@example.org\r\n"
    head += f"Date: Tue, 1 Jul 2025 10:00:00 +0000\r\nSubject: {subject}\r\n\r\n"
    message = head.encode() + body
    known = number % 2 == 0 and smtp_wire.with_crlf(message) == message  # drivers may be told, or find out
    return Outbound(mail_id, recipient.format(f"r{number}"), sender, message, in_lines=known, **more)


LARGE = b".a line of it, with a dot before\r\n" * 30_000
BARE = b"a\n.\nb\r.\rc\r\n"
TAKEN = {
    "plain": lambda mta: mail(),
    "dots": lambda mta: mail(b".\r\n..\r\n.hello\r\n\r\n.\r\n"),
    "a line as long as allowed": lambda mta: mail(b"x" * 998 + b"\r\n.\r\n"),
    "a longer line": lambda mta: mail(b"y" * mta.longest_line + b"\r\n.\r\n"),
    "8-bit": lambda mta: mail("Grüße, 你好\r\n".encode()),
    "empty": lambda mta: mail(b""),
    "bare line ends": lambda mta: mail(BARE),
    "no line end": lambda mta: mail(b"the last line"),
    "null sender": lambda mta: mail(sender=""),
    "40 KB": lambda mta: mail(LARGE[:40_000]),
}
NOT_TAKEN = {
    "unknown": lambda mta: mail(recipient="{}+unknown@example.org"),
    "busy": lambda mta: mail(recipient="{}+busy@example.org"),
    "refused sender": lambda mta: mail(sender="b+refused@example.com"),
    "refused content": lambda mta: mail(subject="refused"),
    "too large": lambda mta: mail(b"x" * LARGEST),
}
UTF8 = {"smtputf8": lambda mta: mail(recipient="{}-jürgen@example.org", smtputf8=True)}
"""Taken where it is offered."""
ONCE = {"1 MB": lambda mta: mail(LARGE)}
SHAPES = TAKEN | NOT_TAKEN | UTF8


def campaign(mta):
    """Mails of every shape, mixed, each with the name of its shape."""
    names = [name for _, name in zip(range(MAILS - len(ONCE)), cycle(SHAPES), strict=False)] + list(ONCE)
    Random(7).shuffle(names)
    return [(name, (SHAPES | ONCE)[name](mta)) for name in names]


def verdicts(mta):
    """What must come of a mail of each shape: class, code, enhanced code, whether the address is given up."""
    not_asked = ("soft", 0, "", False)
    return dict.fromkeys([*TAKEN, *UTF8, *ONCE], ("accepted", 250)) | {
        "unknown": ("hard", *mta.unknown, True),
        "busy": ("transient", *mta.busy, False),
        "refused sender": ("block", *mta.refused, False),
        "refused content": ("block", *mta.content, False) if mta.content else ("accepted", 250),
        "too large": not_asked,
        **({} if mta.smtputf8 else {"smtputf8": not_asked}),
    }


def verdict(outcome):
    match outcome:
        case Accepted(reply):
            return ("accepted", reply.code)
        case Refused(failure_class, _, reply, _, suppress):
            return (failure_class, reply.code, reply.enhanced, suppress)
    return outcome


async def deliver_all(pool, mails, sessions=3):
    """All the mails over several sessions at a time, each turn with what the session has room for."""
    waiting, outcomes = list(mails), {}

    async def work():
        while waiting:
            async with pool.lease() as driver:
                batch = [waiting.pop() for _ in range(min(driver.room, len(waiting)))]
                if batch:
                    outcomes.update(zip((one.mail_id for one in batch), await driver.deliver(batch), strict=True))

    await asyncio.gather(*(work() for _ in range(sessions)))
    return outcomes


async def deliver_until_done(pool, mails):
    """In one session after another, until every mail was tried."""
    waiting, outcomes = list(mails), {}
    while waiting:
        async with pool.lease() as driver:
            told = await driver.deliver(batch := waiting[: driver.room])
        outcomes |= {one.mail_id: told for one, told in zip(batch, told, strict=True) if not isinstance(told, NotTried)}
        waiting = [one for one in waiting if one.mail_id not in outcomes]
    return [outcomes[one.mail_id] for one in mails]


async def contents(mta, mails):
    """By mail id, what the server stored of each of these mails, after the headers that it put before."""
    found = defaultdict(list)
    for message in await mta.stored():
        start = message.index(b"Message-ID: <")
        assert TRACE.fullmatch(message[:start]), message[:start]
        found[message[start + 13 : start + 29].decode()].append(message[start:])
    return {one.mail_id: found[one.mail_id] for one in mails if one.mail_id in found}


def as_stored(mta, one):
    return smtp_wire.with_crlf(one.message).replace(b"\r\n", mta.line_end)


@pytest.mark.parametrize(("mta", "door", "way"), DOORS, indirect=["mta"])
async def test_every_mail_has_its_outcome_and_is_stored_once_as_it_was(mta, pool_of, door, way):
    mails = campaign(mta)
    pool = pool_of(mta, door, **WAYS[way])
    async with pool.lease() as driver:
        in_pipelines = mta.name in PIPELINING and door != "without pipelining" and way != "one at a time"
        assert isinstance(driver, PipelinedDriver) == in_pipelines
    outcomes = await deliver_all(pool, [one for _, one in mails])
    expected = verdicts(mta)
    assert [(name, verdict(outcomes[one.mail_id])) for name, one in mails] == [
        (name, expected[name]) for name, _ in mails
    ]
    stored = await contents(mta, [one for _, one in mails])
    assert stored == {one.mail_id: [as_stored(mta, one)] for name, one in mails if expected[name][0] == "accepted"}


@pytest.mark.parametrize(("way", "flags"), [("bdat", {"L", "K"}), ("data", {"L"}), ("one at a time", {"L-"})])
async def test_pipelines_and_chunks_are_used_as_the_server_sees_it(servers, pool_of, way, flags):
    exim, one = servers("exim"), mail()
    await deliver_all(pool_of(exim, "clear", **WAYS[way]), [one], sessions=1)
    arrival = next(line for line in (exim.folder / "log-main").read_text().splitlines() if f"id={one.mail_id}." in line)
    assert {"L", "L-", "K"} & set(arrival.split()) == flags


# AUTH


@pytest.mark.parametrize("mta", WITH_AUTH, indirect=True)
async def test_a_wrong_password_is_said(mta, pool_of):
    with pytest.raises(ConnectionFailed, match="refused the user name and password of 'ada'"):
        await deliver_all(pool_of(mta, "starttls", password="wrong"), [mail()], sessions=1)


@pytest.mark.parametrize("mta", WITH_AUTH, indirect=True)
@pytest.mark.parametrize("way", WAYS)
async def test_where_auth_is_asked_for_and_not_given_nobody_is_given_up(mta, pool_of, way):
    mails = [mail() for _ in range(20)]
    outcomes = await deliver_until_done(pool_of(mta, "implicit", username="", **WAYS[way]), mails)
    assert {(type(one), one.failure_class, one.suppress) for one in outcomes} == {(Refused, "block", False)}
    assert await contents(mta, mails) == {}


# limits of a session


LIMITED = [*(("exim", "limited", way) for way in WAYS), ("opensmtpd", "clear", "bdat")]


@pytest.mark.parametrize(("mta", "door", "way"), LIMITED, indirect=["mta"])
async def test_what_a_session_may_not_carry_any_more_goes_to_the_next(mta, pool_of, door, way):
    mails = [mail() for _ in range(40 if mta.name == "exim" else 220)]
    outcomes = await deliver_until_done(pool_of(mta, door, **WAYS[way]), mails)
    assert Counter(verdict(outcome) for outcome in outcomes) == {("accepted", 250): len(mails)}
    assert await contents(mta, mails) == {one.mail_id: [as_stored(mta, one)] for one in mails}


ROWS = [(name, "clear", way) for name, way in EVERY_WAY] + [("postfix", "limited", way) for way in WAYS]


@pytest.mark.parametrize(("mta", "door", "way"), ROWS, indirect=["mta"])
async def test_a_long_row_of_unknown_recipients_harms_nobody_else(mta, pool_of, door, way):
    mails = [*(NOT_TAKEN["unknown"](mta) for _ in range(60)), mail()]
    outcomes = await deliver_until_done(pool_of(mta, door, **WAYS[way]), mails)
    assert Counter(verdict(outcome) for outcome in outcomes[:-1]) == {("hard", *mta.unknown, True): 60}
    assert verdict(outcomes[-1]) == ("accepted", 250)
    assert list(await contents(mta, mails)) == [mails[-1].mail_id]


@pytest.mark.parametrize("way", WAYS)
async def test_a_message_that_turns_out_too_large_is_refused_alone(servers, pool_of, way):
    postfix, mails = servers("postfix"), [mail(), mail(b"x\r\n" * LARGEST), mail()]
    outcomes = await deliver_until_done(pool_of(postfix, "without size", **WAYS[way]), mails)
    assert [verdict(outcome) for outcome in outcomes] == [
        ("accepted", 250),
        ("soft", 552, "5.3.4", False),
        ("accepted", 250),
    ]
    assert sorted(await contents(postfix, mails)) == [mails[0].mail_id, mails[2].mail_id]


# the server dies


async def deliver_through(mta, pool_of, way, mails, is_time, *, swallow):
    """In one session, in which the server is killed; then it is started again."""
    async with (
        cut(mta.ports[mta.door_to_die_at()], is_time, mta.kill_session, swallow=swallow) as port,
        pool_of(mta, "clear", port=port, **WAYS[way]).lease() as driver,
    ):
        outcomes = await driver.deliver(mails)
    mta.revive()
    return outcomes, await contents(mta, mails)


@pytest.mark.parametrize(("mta", "way"), EVERY_WAY, indirect=["mta"])
async def test_a_mail_that_the_server_took_without_being_heard_is_in_doubt(mta, pool_of, way):
    mails = [mail() for _ in range(16)]
    outcomes, stored = await deliver_through(
        mta, pool_of, way, mails, lambda heard: heard.count(mta.taken) == 5, swallow=True
    )
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 4 + [Unknown] + [NotTried] * 11
    assert stored == {one.mail_id: [as_stored(mta, one)] for one in mails[:5]}


@pytest.mark.parametrize(("mta", "way"), EVERY_WAY, indirect=["mta"])
async def test_whenever_the_server_is_killed_every_outcome_is_true(mta, pool_of, way):
    for number, size in enumerate(Random(way).sample(range(400, 1_400), 3 if mta.name in PIPELINING else 2)):
        mails = [mail(b"x" * 3_000) for _ in range(16)]
        outcomes, stored = await deliver_through(
            mta, pool_of, way, mails, lambda heard, size=size: len(heard) >= size, swallow=number % 2 == 0
        )
        for one, outcome in zip(mails, outcomes, strict=True):
            may_be = {Accepted: [1], Unknown: [0, 1]}.get(type(outcome), [0])
            copies = stored.get(one.mail_id, [])
            assert len(copies) in may_be, outcome
            assert copies == [as_stored(mta, one)] * len(copies)
        assert sum(isinstance(outcome, Unknown) for outcome in outcomes) <= 1
