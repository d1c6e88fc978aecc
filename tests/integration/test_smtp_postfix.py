"""The drivers against a real Postfix: BDAT, DATA and one command at a time, in the clear and over TLS."""

from contextlib import AsyncExitStack

import pytest
import smtp_servers
import trustme

from sender.drivers.base import Accepted, Outbound, Refused
from sender.drivers.smtp_pool import SmtpPool
from sender.settings import Relay

pytestmark = pytest.mark.postfix

WAYS = {"bdat": {}, "data": {"chunking": False}, "one at a time": {"pipelining": False}}


def mail(number, recipient=None, body=b".\r\n.hello\r\n"):
    mail_id = "abcdefghijklmnopqrst"[number] * 16
    message = f"Message-ID: <{mail_id}.c@example.com>\r\nSubject: x\r\n\r\n".encode() + body
    return Outbound(mail_id, recipient or f"r{number}@example.org", "b@example.com", message)


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def deliver(stack, relay, mails):
    pool = SmtpPool("test", relay)
    stack.push_async_callback(pool.close)
    async with pool.lease() as driver:
        return await driver.deliver(mails)


@pytest.mark.parametrize("way", WAYS)
async def test_postfix_takes_what_it_should_and_nothing_twice(stack, free_port, way):
    server = await stack.enter_async_context(smtp_servers.postfix(free_port()))
    mails = [mail(0), mail(1, "b+unknown@example.org"), mail(2, body=b"a line\r\n" * 50_000), mail(3)]
    outcomes = await deliver(stack, Relay(port=server.port, **WAYS[way]), mails)
    assert [type(outcome) for outcome in outcomes] == [Accepted, Refused, Accepted, Accepted]
    assert (outcomes[1].failure_class, outcomes[1].suppress) == ("hard", True)
    assert sorted(await server.accepted_at_least(3)) == [mails[number].mail_id for number in (0, 2, 3)]


async def test_postfix_takes_pipelined_mail_over_starttls(stack, free_port, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with authority.issue_cert("localhost").private_key_and_cert_chain_pem.tempfile() as pem:
        settings = f"smtpd_tls_chain_files = {pem}\nsmtpd_tls_security_level = encrypt\n"
        server = await stack.enter_async_context(smtp_servers.postfix(free_port(), settings))
        relay = Relay(host="localhost", port=server.port, tls="starttls", ca_file=str(tmp_path / "ca.pem"))
        outcomes = await deliver(stack, relay, [mail(number) for number in range(5)])
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 5
    assert len(await server.accepted_at_least(5)) == 5
