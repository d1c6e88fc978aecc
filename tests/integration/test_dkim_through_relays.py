"""Signed mails through real relays: what a mailbox behind them holds still verifies, whatever became of line ends and dots."""

import time
from itertools import count

import dkim_keys
import pytest
import trustme
from mtas.aiosmtpd import Aiosmtpd
from mtas.exim import Exim
from mtas.postfix import Postfix

from sender.dkim.verification import verify
from sender.drivers.base import Accepted, Outbound
from sender.drivers.smtp_pool import SmtpPool
from sender.drivers.smtp_wire import with_crlf
from sender.settings import Relay

pytestmark = pytest.mark.mtas

HEAD = (
    b"From: Ann <ann@news.example.com>\r\nTo: Ada <ada@example.org>\r\nSubject: News\r\n\tof the   week \r\n"
    b"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <%d@example.com>\r\nList-Unsubscribe: <https://example.com/u>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: a:b:c:d\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
)
BODIES = (
    b"Dear Ada,\r\n\r\n.\r\n..\r\n.dots\r\n",
    b"Blanks  and\ttabs \t\r\n \r\n\r\n\r\n",
    b"",
    "Grüße, 8-bit: é 山田\r\n".encode(),
    b"x" * 990 + b"\r\n" + b"line\r\n" * 5_000,
    b"bare\nline\rends, and no end",
)
numbers = count(1)
WAYS = {"bdat": {}, "data": {"chunking": False}, "one at a time": {"pipelining": False}}


@pytest.fixture(scope="module", params=[Postfix, Exim, Aiosmtpd], ids=lambda mta: mta.name)
def mta(request, free_port, tmp_path_factory):
    certificate = tmp_path_factory.mktemp("certificate") / "server.pem"
    trustme.CA().issue_cert("localhost", key_type=trustme.KeyType.RSA).private_key_and_cert_chain_pem.write_to_path(
        certificate
    )
    certificate.chmod(0o600)
    server = request.param(free_port, certificate)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_what_arrives_behind_a_relay_still_verifies(mta, way):
    before = await mta.stored()
    now = time.time()
    messages = [dkim_keys.signer().sign(with_crlf(HEAD % next(numbers) + body), now) for body in BODIES]
    mails = [
        Outbound(f"m{n}", "ada@example.org", "b@example.com", one, in_lines=True) for n, one in enumerate(messages)
    ]
    pool = SmtpPool("main", Relay(port=mta.ports["clear"], helo_name="sender.example.test", **way))
    async with pool.lease() as driver:
        outcomes = await driver.deliver(mails)
    await pool.close()
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    arrived = [with_crlf(message) for message in await mta.stored() if message not in before]
    assert len(arrived) == len(mails)
    for message in arrived:
        assert [verdict.problem for verdict in verify(message, dkim_keys.texts(), now)] == ["", ""]
        assert dkim_keys.dkimpy_verdicts(_without_trace(message)) == [True, True]


def _without_trace(message):
    """dkimpy takes no other lines before the header, such as those of a mailbox."""
    return message[message.index(b"DKIM-Signature:") :]
