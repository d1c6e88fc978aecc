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
from events.compression import Compressor, Decompressor
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.schemas import BatchJob, Campaign, Mail
from producer import worker
from producer.campaign import compiled
from producer.campaign.compiled import CompiledCampaign, Mailbox
from producer.recipients.blob import BatchWriter
from producer.recipients.recipient import Recipient
from producer.rendering import html, quoted_printable, segments
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
    messages = [renderer.render(row).message for row in rows]
    compressor, decompressor = Compressor(messages[0]), Decompressor(messages[0])
    frames = [compressor.compress(message) for message in messages]
    print(f"{sum(map(len, messages)) / count:,.0f} bytes a mail, {sum(map(len, frames)) / count:,.0f} compressed\n")
    print(f"{'stage':44}{'µs CPU':>8}")
    rendering = measure("render: values, segments, assembling", renderer.render, rows)
    measure("  of it: mail id, token, values", renderer.values, rows)
    compressing = measure("compress", compressor.compress, messages)
    encoding = measure("encode for the bus", _message, frames)
    print(f"{'together':44}{rendering + compressing + encoding:8.1f}\n")
    measure("decompress (the sender's)", decompressor.decompress, frames)
    measure("instead: rendered by Jinja2, lines remembered", compile_campaign(by_jinja2, SETTINGS).render, rows)
    values = [renderer.values(row) for row in rows]
    template = environment("html").from_string(made.html)
    measure("for comparison: Jinja2, HTML part alone", template.render, values)
    simple = segments.parse(environment("html"), made.html)
    assert simple is not None
    join = segments.join(segments.pieces(quoted_printable.lay_out(simple), quoted_printable.write_html))
    measure("for comparison: segments, HTML part alone", join, values)


def _message(frame: bytes) -> Message:
    mail = Mail("abcdefghijklmnop", "reader1@gmail.com", 1, 1_800_000_000.0, frame)
    subject = subjects.mail_due("main", "gmail", "autumn-letter")
    return Message(subject, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1))


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
            stop.set()
            await running
            await bus.close()
    print(f"\nwith the bus: {cpu / count * 1e6:.1f} µs CPU a mail, {count / wall:,.0f} mails/s")


async def _plan(bus: NatsBus, count: int) -> None:
    made, rows = campaign(), recipients(count)
    blobs = await bus.blobs()
    await blobs.put(compiled.blob_name(made.id), compiled.encode(made))
    await blobs.put(compiled.dictionary_name(made.id), compile_campaign(made, SETTINGS).render(rows[0]).message)
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
