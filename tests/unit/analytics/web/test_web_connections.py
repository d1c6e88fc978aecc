"""Heads and bodies of requests that never end, over a real server."""

import asyncio
import gzip

import esps
import pytest

from analytics.web import connections, server
from analytics.web.settings import WebSettings
from analytics.web.webhooks import reception

SETTINGS = WebSettings(
    port=0, serve="public", links_url="https://mail.example.com", link_secret="s" * 32, webhooks=esps.webhooks()
)
HEAD = b"POST /webhooks/sendgrid/main-sendgrid HTTP/1.1\r\nHost: x\r\n"
BODY = b'[{"event": "processed"}]'


@pytest.fixture
async def connect(memory_bus, clock):
    """A function that opens a connection to a server, and answers with its two ends."""
    stop = asyncio.Event()
    opened = []
    with server.listen(SETTINGS) as listener:
        running = asyncio.create_task(
            server.run(memory_bus, None, SETTINGS, clock=clock, listener=listener, stop=stop), name="served"
        )

        async def open_one():
            ends = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
            opened.append(ends[1])
            return ends

        yield open_one
        for writer in opened:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        stop.set()
        await asyncio.wait_for(running, 10)


def request(body, headers, *, more=b""):
    lines = [b"%b: %b" % (name.encode(), value.encode()) for name, value in headers.items()]
    return HEAD + more + b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


async def answer(reader):
    """Status and body of the next answer."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


async def until_closed(reader):
    async with asyncio.timeout(10):
        return await reader.read()


async def pour(writer, begin, piece, most=4 * 1024 * 1024):
    """Sends without end, until the other side has had enough."""
    writer.write(begin)
    try:
        for _ in range(most // len(piece)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    except OSError:
        return


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"POST /webhooks/", b"x" * 4_096),
        (HEAD + b"X-Long: ", b"x" * 4_096),
        (HEAD, b"X-Many: y\r\n" * 400),
        (HEAD, b"x" * 4_096),
    ],
    ids=["request line", "header", "headers", "name"],
)
async def test_a_head_without_end_is_cut_off(connect, begin, piece):
    reader, writer = await connect()
    sending = asyncio.create_task(pour(writer, begin, piece))
    try:
        said = await until_closed(reader)
    except ConnectionError:  # closed while more was on its way
        said = b"HTTP/1.1 431 "
    assert said.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    await sending


@pytest.mark.parametrize("said", [b"", b"POST", HEAD, HEAD + b"X-Slow: y\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(connect, monkeypatch, said):
    monkeypatch.setattr(connections, "HEAD_WITHIN_SECONDS", 0.05)
    reader, writer = await connect()
    writer.write(said)
    assert (await until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_is_kept_bears_one_request_after_the_other(connect, clock):
    reader, writer = await connect()
    for number in range(3):
        headers, body = esps.signed("sendgrid", b'[{"event": "processed", "n": %d}]' % number, clock())
        whole = request(body, headers, more=b"X-Large: " + b"x" * 30_000 + b"\r\n")
        for start in range(0, len(whole), 10_000):
            writer.write(whole[start : start + 10_000])
            await writer.drain()
        assert await answer(reader) == (200, b"stored\n")


async def test_a_body_that_does_not_end_is_not_waited_for(connect, monkeypatch):
    monkeypatch.setattr(reception, "READ_WITHIN_SECONDS", 0.05)
    for more in (b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        reader, writer = await connect()
        writer.write(HEAD + more)
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_in_pieces_that_is_too_large_is_not_read_to_its_end(connect):
    reader, writer = await connect()
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    sending = asyncio.create_task(pour(writer, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", piece, 64 * 1024 * 1024))
    try:
        said = await until_closed(reader)
    except ConnectionError:
        said = b"HTTP/1.1 413 "
    assert said.startswith(b"HTTP/1.1 413 ")
    await sending


async def test_nothing_is_unpacked(connect, clock, memory_bus):
    """So there is nothing to be gained by sending what unpacks to a thousand times its size."""
    headers, body = esps.signed(
        "sendgrid", gzip.compress(b"[" + b'{"event": "processed"},' * 100_000 + b"{}]"), clock()
    )
    reader, writer = await connect()
    writer.write(request(body, headers | {"Content-Encoding": "gzip"}))
    assert (await answer(reader))[0] == 400
    assert (await memory_bus.stream_state("CALLBACKS")).messages == 0


async def test_of_a_stranger_who_should_know_a_password_nothing_is_read(connect):
    reader, writer = await connect()
    writer.write(HEAD.replace(b"sendgrid", b"postmark") + b"Content-Length: 2000000\r\n\r\n")
    assert (await answer(reader))[0] == 401


async def test_who_asks_for_another_protocol_is_answered_in_this_one_and_fills_no_log(connect, caplog):
    reader, writer = await connect()
    writer.write(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
    assert (await answer(reader))[0] == 401
    assert caplog.records == []
