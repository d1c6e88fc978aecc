"""What every driver promises, over every server: one true outcome for each mail (sender/drivers/base.py)."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
import smtp_servers
import trustme

from sender.drivers.base import Accepted, ConnectionFailed, NotTried, Outbound, Refused, Unknown
from sender.drivers.smtp_pool import SmtpPool
from sender.settings import Relay

DRIVERS = ["pipelined", "plain"]
SIMULATORS = ["simulator", "simulator without chunking", "simulator without pipelining"]
SERVERS = [*SIMULATORS, "aiosmtpd", pytest.param("smtp-sink", marks=pytest.mark.postfix)]


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack, tmp_path, free_port):
    """A function that starts a server by name."""

    async def start(name, **settings):
        match name:
            case "simulator":
                context = smtp_servers.simulator(tmp_path, **settings)
            case "simulator without chunking":
                context = smtp_servers.simulator(tmp_path, chunking=False, **settings)
            case "simulator without pipelining":
                context = smtp_servers.simulator(tmp_path, pipelining=False, **settings)
            case "aiosmtpd":
                context = smtp_servers.aiosmtpd(**settings)
            case "smtp-sink":
                context = smtp_servers.smtp_sink(free_port())
        return await stack.enter_async_context(context)

    return start


@pytest.fixture
async def server(request, start):
    return await start(request.param)


@pytest.fixture(params=DRIVERS)
def pool_of(request, stack):
    """A function that makes a pool of the driver under test for a server; it is closed in the end."""

    def pool_of(server, **relay):
        settings = {"port": server.port, "pipelining": request.param == "pipelined"} | relay
        pool = SmtpPool("test", Relay(**settings))
        stack.push_async_callback(pool.close)
        return pool

    return pool_of


def mail(number, recipient=None, body=b"hello\r\n", **more):
    mail_id = "abcdefghijklmnopqrst"[number] * 16
    message = f"Message-ID: <{mail_id}.c@example.com>\r\nSubject: x\r\n\r\n".encode() + body
    return Outbound(mail_id, recipient or f"r{number}@example.org", "b@example.com", message, **more)


async def deliver(pool, mails):
    async with pool.lease() as driver:
        return await driver.deliver(mails)


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]


every_server = pytest.mark.parametrize("server", SERVERS, indirect=True)


@every_server
async def test_every_mail_of_a_batch_is_accepted_once(server, pool_of):
    mails = [mail(number) for number in range(10)]
    outcomes = await deliver(pool_of(server), mails)
    assert kinds(outcomes) == [Accepted] * 10
    assert Counter(await server.accepted()) == Counter(one.mail_id for one in mails)


@every_server
async def test_a_session_carries_batch_after_batch(server, pool_of):
    pool = pool_of(server)
    for number in range(5):
        assert kinds(await deliver(pool, [mail(number), mail(number + 5)])) == [Accepted, Accepted]
    assert len(await server.accepted()) == 10


@every_server
async def test_large_messages_pass(server, pool_of):
    body = b"." + b"x" * 70 + b"\r\n"
    outcomes = await deliver(pool_of(server), [mail(0, body=body * 30_000), mail(1), mail(2, body=body * 1_000)])
    assert kinds(outcomes) == [Accepted] * 3
    assert len(await server.accepted()) == 3


@pytest.mark.parametrize("server", ["aiosmtpd"], indirect=True)
@pytest.mark.parametrize(
    ("body", "arrives"),
    [
        (b".\r\n", b".\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
        (b"..\r\n.x\r\n", b"..\r\n.x\r\n"),
        (b"no line end", b"no line end\r\n"),
        (b"a\n.\nb\n", b"a\r\n.\r\nb\r\n"),
        (b"a\r.\rb\r\n", b"a\r\n.\r\nb\r\n"),
        ("ü\r\n".encode(), "ü\r\n".encode()),
    ],
)
async def test_messages_arrive_byte_for_byte_with_crlf(server, pool_of, body, arrives):
    assert kinds(await deliver(pool_of(server), [mail(0, body=body)])) == [Accepted]
    assert server.bodies()[0].partition(b"\r\n\r\n")[2] == arrives


@pytest.mark.parametrize("server", SERVERS[:4], indirect=True)
async def test_a_refused_recipient_refuses_nothing_else(server, pool_of):
    mails = [mail(0), mail(1, "b+unknown@example.org"), mail(2, "c+unknown@example.org"), mail(3)]
    outcomes = await deliver(pool_of(server), mails)
    assert kinds(outcomes) == [Accepted, Refused, Refused, Accepted]
    assert outcomes[1].failure_class == "hard"
    assert outcomes[1].suppress
    assert sorted(await server.accepted()) == [mails[0].mail_id, mails[3].mail_id]


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
@pytest.mark.parametrize(
    ("tag", "failure_class", "hint"),
    [
        ("greylist", "transient", 3),
        ("full", "soft", None),
        ("tempfail", "transient", None),
        ("throttled", "throttled", None),
        ("blocked", "block", None),
    ],
)
async def test_refusals_are_classified(server, pool_of, tag, failure_class, hint):
    outcomes = await deliver(pool_of(server), [mail(0, f"a+{tag}@example.org"), mail(1)])
    assert kinds(outcomes) == [Refused, Accepted]
    assert (outcomes[0].failure_class, outcomes[0].retry_after_seconds) == (failure_class, hint)


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
@pytest.mark.parametrize("provider", ["gmail.com", "yahoo.com", "outlook.com", "icloud.com", "example.org"])
async def test_the_words_of_every_provider_are_understood(server, pool_of, provider):
    classes = {}
    for tag in ("greylist", "full", "unknown", "tempfail", "throttled", "blocked"):
        (outcome,) = await deliver(pool_of(server), [mail(0, f"a+{tag}@{provider}")])
        classes[tag] = outcome.failure_class
    assert classes == {
        "greylist": "throttled" if provider == "outlook.com" else "transient",
        "full": "soft",
        "unknown": "hard",
        "tempfail": "transient",
        "throttled": "throttled",
        "blocked": "block",
    }


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
async def test_a_connection_that_drops_instead_of_the_final_reply_leaves_one_doubt(server, pool_of):
    mails = [mail(0), mail(1, "b+drop@example.org"), mail(2)]
    assert kinds(await deliver(pool_of(server), mails)) == [Accepted, Unknown, NotTried]
    assert await server.accepted() == [mails[0].mail_id]


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
async def test_a_connection_that_drops_before_the_message_leaves_no_doubt(server, pool_of):
    mails = [mail(0), mail(1, "b+drop-before@example.org"), mail(2)]
    assert kinds(await deliver(pool_of(server), mails)) == [Accepted, NotTried, NotTried]


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
async def test_a_server_that_closes_with_421_has_answered_one_mail(server, pool_of):
    mails = [mail(0), mail(1, "b+throttled@gmail.com"), mail(2)]
    outcomes = await deliver(pool_of(server), mails)
    assert kinds(outcomes) == [Accepted, Refused, NotTried]
    assert outcomes[1].failure_class == "throttled"


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
async def test_after_a_break_the_pool_gives_a_new_session(server, pool_of):
    pool = pool_of(server)
    await deliver(pool, [mail(0, "a+drop@example.org")])
    assert kinds(await deliver(pool, [mail(0, "a+drop@example.org"), mail(1)])) == [Accepted, Accepted]


@pytest.mark.parametrize("server", SERVERS[:4], indirect=True)
async def test_non_ascii_addresses_pass_where_smtputf8_is_offered(server, pool_of):
    assert kinds(await deliver(pool_of(server), [mail(0, "adé@example.org", smtputf8=True)])) == [Accepted]


async def test_non_ascii_addresses_are_refused_where_it_is_not(start, pool_of):
    server = await start("simulator", smtputf8=False)
    outcomes = await deliver(pool_of(server), [mail(0, "adé@example.org", smtputf8=True), mail(1)])
    assert kinds(outcomes) == [Refused, Accepted]
    assert outcomes[0].reason == "smtputf8_not_offered"


async def test_what_is_larger_than_size_says_is_not_sent(start, pool_of):
    server = await start("simulator", max_size=1_000)
    outcomes = await deliver(pool_of(server), [mail(0, body=b"x" * 2_000), mail(1)])
    assert kinds(outcomes) == [Refused, Accepted]
    assert outcomes[0].reason == "too_large"


@pytest.mark.parametrize("name", SIMULATORS)
async def test_a_server_that_never_answers_a_message_leaves_a_doubt(start, pool_of, name):
    server = await start(name, slow_seconds=60)
    pool = pool_of(server, data_timeout_seconds=0.3)
    outcomes = await deliver(pool, [mail(0, "a+slow@example.org"), mail(1)])
    assert kinds(outcomes) == [Unknown, NotTried]


@pytest.mark.parametrize("name", SIMULATORS)
async def test_a_slow_server_is_waited_for(start, pool_of, name):
    server = await start(name, latency_seconds=0.02, slow_seconds=0.2)
    outcomes = await deliver(pool_of(server), [mail(0, "a+slow@example.org"), mail(1)])
    assert kinds(outcomes) == [Accepted, Accepted]


@pytest.mark.parametrize("server", SIMULATORS, indirect=True)
async def test_a_cancelled_delivery_ends_its_session(server, pool_of):
    pool = pool_of(server)
    task = asyncio.create_task(deliver(pool, [mail(0, "a+slow@example.org")]))
    while not await server.accepted():  # noqa: ASYNC110 - the server is asked
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kinds(await deliver(pool, [mail(1)])) == [Accepted]


# TLS and AUTH


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def certificates(authority, tmp_path):
    """Paths of the server's certificate, made out to localhost, and of the authority's."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "server.pem", folder / "ca.pem"


@pytest.fixture(params=["simulator", "aiosmtpd"])
def start_secure(request, start, certificates):
    """A function that starts a server for a TLS mode, with AUTH, and returns it with the relay's settings for it."""
    pem, ca = certificates

    async def start_secure(tls):
        implicit = tls == "implicit"
        if request.param == "simulator":
            settings = smtp_servers.simulator_tls(pem) | {"credentials": ("ada", "secret")}
            server = await start("simulator", smtps_port=0 if implicit else None, **settings)
            port = server.smtps if implicit else server.port
        else:
            server = await start("aiosmtpd", tls=smtp_servers.server_context(pem), implicit_tls=implicit, auth=True)
            port = server.port
        relay = {
            "host": "localhost",
            "port": port,
            "tls": tls,
            "ca_file": str(ca),
            "username": "ada",
            "password": "secret",
        }
        return server, relay

    return start_secure


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_passes_over_tls_with_auth(start_secure, pool_of, tls):
    server, relay = await start_secure(tls)
    mails = [mail(0), mail(1, body=b"a line of it\r\n" * 20_000), mail(2)]
    assert kinds(await deliver(pool_of(server, **relay), mails)) == [Accepted] * 3
    assert len(await server.accepted()) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wrong"}, "refused the user name and password of 'ada'"),
        ({"ca_file": ""}, "certificate is not trusted"),
        ({"host": "127.0.0.1"}, "certificate is not trusted"),
        ({"ca_file": "/nowhere/ca.pem"}, "cannot be read"),
    ],
)
async def test_what_stands_in_the_way_of_a_connection_is_said(start_secure, pool_of, change, message):
    server, relay = await start_secure("starttls")
    with pytest.raises(ConnectionFailed, match=message):
        await deliver(pool_of(server, **relay | change), [mail(0)])


async def test_an_unverified_certificate_is_accepted_where_allowed(start_secure, pool_of):
    server, relay = await start_secure("starttls")
    relay |= {"ca_file": "", "verify": False}
    assert kinds(await deliver(pool_of(server, **relay), [mail(0)])) == [Accepted]


async def test_without_starttls_nothing_is_sent_in_the_clear(start, pool_of):
    server = await start("simulator")
    with pytest.raises(ConnectionFailed, match="STARTTLS"):
        await deliver(pool_of(server, tls="starttls"), [mail(0)])


async def test_no_server_is_a_failed_connection(pool_of, free_port):
    nobody = smtp_servers.Running(free_port())
    with pytest.raises(ConnectionFailed, match="no connection"):
        await deliver(pool_of(nobody), [mail(0)])
