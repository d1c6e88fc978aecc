"""When the reader waits. What it reads is tested with a real server (tests/integration/test_bounces_by_imap.py)."""

import asyncio

from smtp_servers import scripted

from analytics.post import imap
from analytics.post.settings import ImapSettings
from events import metrics


async def take(_sent_to, _raw):
    raise AssertionError("there is nothing to take")


async def test_what_is_refused_after_it_worked_is_waited_out(caplog):
    selected = []

    async def converse(reader, writer):
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        while line := (await reader.readline()).decode():
            tag, _, command = line.strip().partition(" ")
            selected.extend([command] if command.startswith("SELECT") else [])
            refused = command.startswith("SELECT") and len(selected) > 2
            lines = {"CAPABILITY": "* CAPABILITY IMAP4rev1", "SELECT": "* 0 EXISTS"}.get(command.split(" ")[0], "* OK")
            writer.write(f"{lines}\r\n{tag} {'NO it is gone' if refused else 'OK done'}\r\n".encode())

    stop = asyncio.Event()
    async with scripted(converse) as server, asyncio.timeout(10):
        settings = ImapSettings(
            host="127.0.0.1", port=server.port, tls="none", username="ada", password="x", every_seconds=0.001
        )
        running = asyncio.create_task(imap.run(settings, 1_000, take, stop))
        while not metrics.STEPS_WAITING.labels("imap")._value.get():  # noqa: ASYNC110 - the gauge has no signal
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert "set bounces.imap.folder to another (the server says: it is gone)" in caplog.text
    metrics.STEPS_WAITING.labels("imap").set(0)
