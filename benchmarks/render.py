"""What a mail costs its producer, stage by stage, in µs of CPU: the example newsletter, no bus, or with one.

    python benchmarks/render.py [MAILS] [--bus]

`--bus` lets a whole producer work through a batch on an embedded nats-server: batch in, queued mails out.
"""

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from events import ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor, Decompressor, encode_dictionary
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.schemas import BatchJob, Campaign, Mail
from producer import worker
from producer.campaign import compiled
from producer.campaign.compiled import CompiledCampaign, Mailbox
from producer.recipients.blob import BatchWriter
from producer.recipients.recipient import Recipient
from producer.rendering import html
from producer.rendering.environment import environment
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings

NEWSLETTER = Path(__file__).parent.parent / "examples" / "newsletter" / "newsletter.html"
SETTINGS = ProducerSettings(link_secret="correct horse battery staple")
REPETITIONS = 5


def campaign() -> CompiledCampaign:
    source = html.inline_css(NEWSLETTER.read_text())
    return CompiledCampaign(
        id="autumn-letter",
        name="Autumn letter",
        pool="main",
        created_at=1_800_000_000,
        from_=Mailbox("letters@news.example.com", "The Long Way Home"),
        return_path="bounces@news.example.com",
        subject="{{ first_name }}, three slow journeys from {{ city }}",
        html=source,
        text=html.derive_text(source),
        fields=("first_name", "last_name", "city", "points", "plan", "joined"),
        public_url="https://news.example.com",
        feedback_id=("autumn-letter", "main", "letter", "longway"),
        message_id_domain="news.example.com",
    )


def recipients(count: int) -> list[Recipient]:
    names, cities = ("Ada", "Grace", "Zoë", "O'Neil", "Barbara"), ("Lisbon", "Zürich", "Oslo", "Gent")
    return [
        Recipient(
            f"reader{n}@gmail.com",
            "gmail",
            False,
            (names[n % 5], "Lovelace", cities[n % 4], str(n % 3_000), ("free", "patron")[n % 2], "12 March 2024"),
        )
        for n in range(count)
    ]


def measure(name: str, work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """The best of some rounds, in µs an item."""
    best = float("inf")
    for _ in range(REPETITIONS):
        gc.collect()
        begun = time.process_time()
        for item in items:
            work(item)
        best = min(best, time.process_time() - begun)
    print(f"{name:44}{best / len(items) * 1e6:8.1f}")
    return best / len(items) * 1e6


def stages(count: int) -> None:
    made, rows = campaign(), recipients(count)
    by_jinja2 = msgspec.structs.replace(made, html=made.html + "{% set _ = 1 %}", text=made.text + "{% set _ = 1 %}")
    renderer = compile_campaign(made, SETTINGS)
    dictionary = encode_dictionary(renderer.dictionary(rows[0]))
    compressor, decompressor = Compressor(dictionary), Decompressor(dictionary)
    fillings = [renderer.fill(row)[1] for row in rows]
    messages = [renderer.message(filling) for filling in fillings]
    packed, frames = list(map(compressor.pack, fillings)), list(map(compressor.compress, messages))
    assert list(map(decompressor.decompress, packed)) == messages
    raw, filled, compressed = (sum(map(len, bodies)) / count for bodies in (messages, packed, frames))
    print(f"{raw:,.0f} bytes a mail, {filled:,.0f} as a filling, {compressed:,.0f} compressed\n")
    print(f"{'stage':44}{'µs CPU':>8}")
    rendering = measure("what fills in the form", renderer.fill, rows)
    measure("  of it: mail id, token, row", renderer.row, rows)
    packing = measure("pack", compressor.pack, fillings)
    sizing = measure("measure", renderer.size, fillings)
    encoding = measure("encode for the bus", _message, packed)
    print(f"{'together':44}{rendering + packing + sizing + encoding:8.1f}\n")
    measure("unpack (the sender's)", decompressor.decompress, packed)
    measure("for large fillings: assemble", renderer.message, fillings)
    measure("for large fillings: compress", compressor.compress, messages)
    measure("for large fillings: decompress (the sender's)", decompressor.decompress, frames)
    measure("rendered by Jinja2, lines remembered", compile_campaign(by_jinja2, SETTINGS).render, rows)
    values = [renderer.row(row) for row in rows]
    template = environment("html").from_string(made.html)
    measure("for comparison: Jinja2, HTML part alone", template.render, values)


def _message(frame: bytes) -> Message:
    mail = Mail("abcdefghijklmnop", "reader1@gmail.com", 1, 1_800_000_000.0, frame)
    return Message("mail.send.main.gmail.autumn-letter", schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1))


async def with_bus(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder)) as server:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="benchmark")
            await bus.setup()
            await _plan(bus, count)
            wall, cpu = time.perf_counter(), time.process_time()
            stop = asyncio.Event()
            running = asyncio.create_task(worker.run(bus, SETTINGS, clock=time.time, stop=stop))
            while (await bus.stream_state(streams.BATCHES.name)).messages:
                await asyncio.wait({running}, timeout=0.02)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            stored = await bus.stream_state(streams.MAIL.name)
            stop.set()
            await running
            await bus.close()
    size = stored.bytes / stored.messages
    print(
        f"\nwith the bus: {cpu / count * 1e6:.1f} µs CPU a mail, {count / wall:,.0f} mails/s, {size:,.0f} bytes stored a mail"
    )


async def _plan(bus: NatsBus, count: int) -> None:
    made, rows = campaign(), recipients(count)
    blobs = await bus.blobs()
    await blobs.put(compiled.blob_name(made.id), compiled.encode(made))
    dictionary = compile_campaign(made, SETTINGS).dictionary(rows[0])
    await blobs.put(compiled.dictionary_name(made.id), encode_dictionary(dictionary))
    registered = Campaign(made.id, made.name, "running", made.pool, made.return_path, 1_800_000_000.0)
    await (await bus.bucket(streams.CAMPAIGNS)).put(made.id, schemas.encode_campaign(registered))
    for number, start in enumerate(range(0, count, streams.BATCH_SIZE), 1):
        writer = BatchWriter()
        for row in rows[start : start + streams.BATCH_SIZE]:
            writer.add(row)
        name = compiled.batch_name(made.id, number)
        await blobs.put(name, writer.finish())
        job = schemas.encode_batch(BatchJob(made.id, number, writer.count, name))
        await bus.publish(streams.BATCHES.name, [Message(subjects.batches(made.id), job)])


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    mails = numbers[0] if numbers else 20_000
    stages(min(mails, 20_000))
    if "--bus" in sys.argv:
        uvloop.run(with_bus(mails))
