"""Real SMTP servers for tests, each on a free port of the loopback interface, and what they received."""

import asyncio
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from jetpost.simulator import client, server
from jetpost.simulator.settings import SimulatorSettings, Tls


@dataclass
class Running:
    """A server under test."""

    port: int
    smtps: int | None = None
    control: int | None = None
    messages: list[bytes] = field(default_factory=list)
    """Whole messages, from servers that keep them."""
    folder: Path | None = None

    async def accepted(self) -> list[str]:
        """The mail ids that were accepted, repeats included, in no particular order."""
        if self.control is not None:
            stats = await client.counters(self.control)
            return list(client.accepted_ids(stats))
        return [mail_id(message) for message in self.bodies()]

    def bodies(self) -> list[bytes]:
        if self.folder is not None:
            return [file.read_bytes() for file in self.folder.iterdir()]
        return self.messages


def mail_id(message: bytes) -> str:
    start = message.index(b"Message-ID: <") + 13
    return message[start : start + 16].decode()


@asynccontextmanager
async def simulator(folder, **settings):
    """The mailbox simulator, in this process."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(server.run(SimulatorSettings(state_dir=folder, **settings), stop, ready.set_result))
    try:
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        ports = ready.result()
        yield Running(ports.smtp, ports.smtps, ports.control)
    finally:
        stop.set()
        await running


class Keeper:
    """An aiosmtpd handler that keeps what it accepts, and refuses recipients that say so."""

    def __init__(self, messages):
        self.messages = messages

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's names
        if "+unknown" in address:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the same
        self.messages.append(envelope.content)
        return "250 2.0.0 Ok"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"ada", b"secret")
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def aiosmtpd(*, tls=None, implicit_tls=False, auth=False):
    """aiosmtpd, which does not offer PIPELINING, in this process."""
    loop = asyncio.get_running_loop()
    running = Running(0)
    connections = []

    def connection():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it does not see that the listener is secure already
            smtp = SMTP(
                Keeper(running.messages),
                hostname="localhost",
                enable_SMTPUTF8=True,
                loop=loop,
                tls_context=None if implicit_tls else tls,
                require_starttls=bool(tls) and not implicit_tls,
                authenticator=authenticate if auth else None,
                auth_required=auth,
                auth_require_tls=bool(tls) and not implicit_tls,
            )
        connections.append(smtp)
        return smtp

    listener = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls if implicit_tls else None)
    running.port = listener.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        listener.close()
        for smtp in connections:
            if smtp.transport is not None:
                smtp.transport.abort()
            if smtp._handler_coroutine is not None:
                smtp._handler_coroutine.cancel()
        await asyncio.sleep(0)


@asynccontextmanager
async def smtp_sink(port, *arguments):
    """Postfix's smtp-sink; keeps every message in a file of its own."""
    if shutil.which("smtp-sink") is None:
        pytest.skip("smtp-sink is not installed (Debian: apt-get install postfix)")
    folder = Path(tempfile.mkdtemp(prefix="jetpost-sink-"))
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    if user:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    process = await asyncio.create_subprocess_exec(
        "smtp-sink", *user, *arguments, "-d", f"{folder}/%M.", f"127.0.0.1:{port}", "100", stderr=subprocess.DEVNULL
    )
    try:
        await _listens(port)
        yield Running(port, folder=folder)
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(folder)


async def _listens(port):
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


@asynccontextmanager
async def scripted(converse):
    """A server of a few lines: `converse(reader, writer)` is called for every connection."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Running(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def server_context(pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def simulator_tls(pem) -> dict[str, Tls]:
    return {"tls": Tls(certificate=pem, key=pem)}


POSTFIX = """
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
queue_directory = {folder}/spool
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example.test
mydestination =
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ {{ b+unknown@example.org = 550 5.1.1 User unknown }} }}, permit_mynetworks, reject
default_transport = discard
maillog_file = {folder}/log
maillog_file_prefixes = /tmp
"""
POSTFIX_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
discard unix - - n - - discard
smtp unix - - n - - smtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
"""


@asynccontextmanager
async def postfix(port, settings=""):
    """A Postfix of its own, with its queue in a temporary folder, that accepts mail for anyone and throws it away."""
    if shutil.which("postfix") is None or os.getuid() != 0:
        pytest.skip("Postfix is not installed (Debian: apt-get install postfix), or not ours to start (needs root)")
    folder = _postfix_folder(port, settings)
    command = ("postfix", "-c", str(folder / "conf"))
    process = await asyncio.create_subprocess_exec(*command, "start-fg", stderr=subprocess.DEVNULL)
    try:
        await _listens(port)
        yield Running(port)
    finally:
        await (await asyncio.create_subprocess_exec(*command, "stop", stderr=subprocess.DEVNULL)).wait()
        await process.wait()
        shutil.rmtree(folder)


def _postfix_folder(port, settings):
    folder = Path(tempfile.mkdtemp(prefix="jetpost-postfix-"))
    folder.chmod(0o755)
    for name in ("conf", "spool", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    (folder / "conf" / "main.cf").write_text(POSTFIX.format(folder=folder) + settings)
    (folder / "conf" / "master.cf").write_text(POSTFIX_SERVICES.format(port=port))
    return folder
