"""What it costs to take an ESP's callback: CPU of the web process per request, the whole way from the socket to NATS and back.

The server runs in a process of its own, as `jetpost web run` with `web.serve = "public"` does; requests of one event each come
over connections that are kept. Its CPU is what is measured: on one core, a second has a million of its µs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console
from rich.table import Table

from analytics.web import server
from analytics.web.settings import WebSettings
from analytics.web.webhooks.settings import Webhook
from benchmarks.frame.part import Part
from events import streams
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

REQUESTS: Final = 20_000
CONNECTIONS: Final = 64
PROMISED_PER_SECOND: Final = 5_000
_SECRET: Final = "key-of-the-benchmark"
_PAIR: Final = "esp:password"
_KEY: Final = ec.generate_private_key(ec.SECP256R1())


class Kind(NamedTuple):
    """A way of proving who calls."""

    name: str
    path: str
    make: Callable[[int], bytes]
    """A whole request."""
    promised: bool


def _webhooks() -> dict[str, Webhook]:
    public = _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "mailgun": Webhook(esp="mailgun", signing_secrets=(_SECRET,)),
        "postmark": Webhook(esp="postmark", basic_secrets=(_PAIR,)),
        "sendgrid": Webhook(esp="sendgrid", public_keys=(base64.b64encode(public).decode(),)),
    }


def _request(path: str, body: bytes, headers: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n".encode() + body


def _mailgun(number: int) -> bytes:
    at, token = str(int(time.time())), f"token-{number}"
    digest = hmac.digest(_SECRET.encode(), f"{at}{token}".encode(), hashlib.sha256).hex()
    event = {
        "event": "delivered",
        "id": f"event-{number}",
        "timestamp": time.time(),
        "recipient": f"reader{number}@example.com",
        "user-variables": {"jetpost": "abcdefghijklmnop.spring-sale"},
        "message": {"headers": {"message-id": "abcdefghijklmnop.spring-sale@news.example.com", "subject": "News"}},
        "delivery-status": {"code": 250, "message": "OK", "tls": True, "mx-host": "mx.example.com"},
    }
    signature = {"timestamp": at, "token": token, "signature": digest}
    return _request("/webhooks/mailgun/mailgun", json.dumps({"signature": signature, "event-data": event}).encode(), "")


def _postmark(number: int) -> bytes:
    event = {
        "RecordType": "Delivery",
        "MessageID": f"0000-{number}",
        "Recipient": f"reader{number}@example.com",
        "DeliveredAt": "2027-01-15T08:00:00.1234567Z",
        "Details": "smtp;250 2.0.0 OK",
        "Metadata": {"jetpost": "abcdefghijklmnop.spring-sale"},
    }
    basic = base64.b64encode(_PAIR.encode()).decode()
    return _request("/webhooks/postmark/postmark", json.dumps(event).encode(), f"Authorization: Basic {basic}\r\n")


def _sendgrid(number: int, events: int = 1) -> bytes:
    told = [
        {
            "email": f"reader{number}@example.com",
            "event": "delivered",
            "timestamp": int(time.time()),
            "sg_event_id": f"event-{number}-{place}",
            "sg_message_id": "abc.filter0001",
            "jetpost": "abcdefghijklmnop.spring-sale",
            "response": "250 2.0.0 OK",
        }
        for place in range(events)
    ]
    body, at = json.dumps(told).encode() + b"\r\n", str(int(time.time()))
    signature = base64.b64encode(_KEY.sign(at.encode() + body, ec.ECDSA(SHA256()))).decode()
    prefix = "X-Twilio-Email-Event-Webhook"
    return _request(
        "/webhooks/sendgrid/sendgrid", body, f"{prefix}-Signature: {signature}\r\n{prefix}-Timestamp: {at}\r\n"
    )


KINDS: Final = (
    Kind("HMAC, one event each (Mailgun)", "mailgun", _mailgun, promised=True),
    Kind("password, one event each (Postmark)", "postmark", _postmark, promised=True),
    Kind("ECDSA, one event each (SendGrid)", "sendgrid", _sendgrid, promised=False),
    Kind("ECDSA, 25 events each (SendGrid)", "sendgrid", lambda number: _sendgrid(number, 25), promised=False),
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=REQUESTS)


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    return uvloop.run(_measure(arguments.requests))


async def _measure(requests: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        async with NatsServer(Path(folder)) as nats:
            bus = await NatsBus.connect(BusSettings(url=nats.url), name="jetpost bench")
            await bus.setup()
            process, port = await asyncio.to_thread(_start, nats.url)
            try:
                assert process.pid is not None, "it runs"
                found = [await _kind(kind, port, process.pid, requests) for kind in KINDS]
                stored = (await bus.stream_state(streams.CALLBACKS.name)).messages
            finally:
                process.terminate()
                process.join()
                await bus.close()
    return {"requests": requests, "stored": stored, "expected": requests * len(KINDS), "kinds": found}


def _start(nats_url: str) -> tuple[multiprocessing.process.BaseProcess, int]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(nats_url, _webhooks(), theirs), daemon=True)
    process.start()
    return process, ours.recv()


def _serve(nats_url: str, webhooks: dict[str, Webhook], told: Connection) -> None:
    uvloop.run(_serving(nats_url, webhooks, told))


async def _serving(nats_url: str, webhooks: dict[str, Webhook], told: Connection) -> None:
    bus = await NatsBus.connect(BusSettings(url=nats_url), name="jetpost bench web")
    settings = WebSettings(
        port=0, serve="public", links_url="https://mail.example.com", link_secret="s" * 32, webhooks=webhooks
    )
    with server.listen(settings) as listener:
        told.send(listener.getsockname()[1])
        await server.run(bus, None, settings, clock=time.time, listener=listener, stop=asyncio.Event())


async def _kind(kind: Kind, port: int, pid: int, requests: int) -> dict[str, Any]:
    made = [kind.make(number) for number in range(requests)]
    await _send(port, [kind.make(-number) for number in range(1, 9)])  # what is done once
    await asyncio.sleep(0.2)
    cpu, wall = _cpu(pid), time.perf_counter()
    shares = [made[start::CONNECTIONS] for start in range(CONNECTIONS)]
    refused = sum(await asyncio.gather(*(_send(port, share) for share in shares if share)))
    cpu, wall = _cpu(pid) - cpu, time.perf_counter() - wall
    us = cpu / requests * 1e6
    return {
        "name": kind.name,
        "promised": kind.promised,
        "cpu_us_per_request": round(us, 1),
        "requests_per_second_on_one_core": round(1e6 / us),
        "requests_per_second": round(requests / wall),
        "refused": refused,
    }


async def _send(port: int, requests: Sequence[bytes]) -> int:
    """One after the other over one connection; returns how many were not answered 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    refused = 0
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        refused += not head.startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    return refused


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table(
        f"{result['requests']:,} requests of each", "µs CPU", "/s on one core", "/s here", box=None, header_style="bold"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in result["kinds"]:
        rates = (f"{kind[name]:,}" for name in ("requests_per_second_on_one_core", "requests_per_second"))
        table.add_row(kind["name"], f"{kind['cpu_us_per_request']:.0f}", *rates)
    console.print(table)
    console.print(f"promised: {PROMISED_PER_SECOND:,} callbacks a second on one core; stored: {result['stored']:,}")


def _failed(result: dict[str, Any]) -> bool:
    lost = result["stored"] < result["expected"] or any(kind["refused"] for kind in result["kinds"])
    slow = any(
        kind["promised"] and kind["requests_per_second_on_one_core"] < PROMISED_PER_SECOND for kind in result["kinds"]
    )
    return lost or slow


PART: Final = Part(
    name="callbacks",
    what="ESPs' callbacks: CPU per request, from the socket to NATS and back",
    add_options=_add_options,
    run=_run,
    show=_show,
    failed=_failed,
)
