"""The simulator as a process of its own, spoken to by clients that are not ours."""

import asyncio
import smtplib
import ssl
import sys

import aiosmtplib
import msgspec
import pytest
import trustme

from jetpost.simulator import client
from jetpost.simulator.profiles import Profile
from jetpost.simulator.settings import Faults
from jetpost.simulator.stats import Ports

MESSAGE = b"Message-ID: <abcdefghijklmnop.c@example.com>\r\nSubject: x\r\n\r\nhello\r\n.dot\r\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def start(tmp_path, authority):
    """A function that starts a simulator with command-line arguments and returns its ports."""
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    processes = []

    async def start(*arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jetpost.simulator", *arguments, stdout=asyncio.subprocess.PIPE
        )
        processes.append(process)
        return msgspec.json.decode(await asyncio.wait_for(process.stdout.readline(), 20), type=Ports)

    start.pem = str(tmp_path / "server.pem")
    start.processes = processes
    yield start
    for process in processes:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 10)


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def send_with_smtplib(port, *recipients):
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        return smtp.sendmail("b@example.com", recipients, MESSAGE)


async def test_smtplib_delivers_and_the_control_port_counts(start):
    ports = await start()
    assert await asyncio.to_thread(send_with_smtplib, ports.smtp, "ada@gmail.com") == {}
    await asyncio.to_thread(send_with_smtplib, ports.smtp, "ada@gmail.com")
    stats = await client.stats(ports.control)
    assert (stats.accepted, stats.accepted_more_than_once, stats.messages) == (1, 1, 2)
    assert stats.by_provider == {"gmail": 2}
    assert list(client.accepted_ids(stats)) == ["abcdefghijklmnop"] * 2
    assert await client.duplicates(ports.control) == {"abcdefghijklmnop": 2}


async def test_refusals_are_counted_by_behaviour(start):
    ports = await start()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(send_with_smtplib, ports.smtp, "ada+unknown@gmail.com")
    counters = await client.counters(ports.control)
    assert counters.refused == {"unknown": 1}
    assert counters.accepted is None


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_aiosmtplib_delivers_over_tls_with_auth(start, trusting, mode):
    ports = await start("--certificate", start.pem, "--key", start.pem, "--smtps-port", "0", "--user", "ada:secret")
    async with aiosmtplib.SMTP(
        hostname="127.0.0.1",
        port=ports.smtps if mode == "implicit" else ports.smtp,
        use_tls=mode == "implicit",
        start_tls=mode == "starttls",
        tls_context=trusting,
        username="ada",
        password="secret",
    ) as smtp:
        await smtp.sendmail("b@example.com", ["ada@example.org"], MESSAGE)
    assert (await client.stats(ports.control)).accepted == 1


async def test_it_survives_clients_that_die_in_the_middle_of_a_mail(start):
    ports = await start()
    _, writer = await asyncio.open_connection("127.0.0.1", ports.smtp)
    writer.write(b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\nDATA\r\nSubject: half of")
    await writer.drain()
    writer.transport.abort()
    await asyncio.to_thread(send_with_smtplib, ports.smtp, "ada@gmail.com")
    assert (await client.stats(ports.control)).messages == 1


async def test_latency_and_slow_recipients_hold_replies_back(start):
    ports = await start("--latency", "0.05", "--slow", "0.2")
    loop = asyncio.get_running_loop()
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=ports.smtp, start_tls=False) as smtp:
        before = loop.time()
        await smtp.noop()
        assert loop.time() - before >= 0.05
        before = loop.time()
        await smtp.sendmail("b@example.com", ["ada+slow@example.org"], MESSAGE)
        assert loop.time() - before >= 0.2 + 4 * 0.05


async def test_faults_can_be_chosen_while_it_runs(start):
    running = await start()
    await client.set_faults(running.control, Faults(half_close=1))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await asyncio.to_thread(send_with_smtplib, running.smtp, "ada@example.org")
    await client.set_faults(running.control, Faults())
    await asyncio.to_thread(send_with_smtplib, running.smtp, "ada@example.org")
    counted = await client.stats(running.control)
    assert (counted.accepted, counted.faults) == (1, {"half_close": 1})


async def test_what_providers_bear_can_be_chosen_when_it_starts_and_while_it_runs(start):
    running = await start("--profiles", "usual")
    await client.set_profiles(running.control, {"gmail": Profile(rate=0.001, burst=1)})
    await asyncio.to_thread(send_with_smtplib, running.smtp, "ada@gmail.com")
    with pytest.raises(smtplib.SMTPException, match="unusual rate"):
        await asyncio.to_thread(send_with_smtplib, running.smtp, "ada@gmail.com")
    counted = await client.stats(running.control)
    assert (counted.accepted, counted.refused) == (1, {"too-fast": 1})


async def test_stop_ends_the_process(start):
    ports = await start()
    await client.stop(ports.control)
    assert await asyncio.wait_for(start.processes[0].wait(), 10) == 0
