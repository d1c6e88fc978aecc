"""A campaign that is ready for producers, on any bus; and a process that dies at a given moment."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from permitted_bus import PermittedBus

from events import facts, permissions, schemas, streams, subjects
from events.bus import Bus, Message, Stored
from events.compression import encode_dictionary
from events.facts import EmailAccepted
from events.schemas import BatchJob, Campaign
from producer import worker
from producer.campaign import compiled
from producer.campaign.compiled import CompiledCampaign, Mailbox
from producer.recipients.blob import BatchWriter
from producer.recipients.recipient import Recipient
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings

SETTINGS = ProducerSettings(link_secret="correct horse battery staple")
COMPILED = CompiledCampaign(
    id="autumn",
    name="Autumn letter",
    pool="main",
    created_at=1_800_000_000,
    from_=Mailbox("letters@news.example.com", "The Letters"),
    return_path="bounces@news.example.com",
    subject="Hello {{ name }}",
    html="<p>Hello {{ name }}</p>",
    text="Hello {{ name }}",
    fields=("name",),
    public_url="https://news.example.com",
    message_id_domain="news.example.com",
)


def recipients(count: int, **names: str) -> list[Recipient]:
    """`reader0@gmail.com` and so on, called `Reader`; `r7="…"` gives the seventh another name."""
    return [
        Recipient(f"reader{number}@gmail.com", "gmail", False, (names.get(f"r{number}", "Reader"),))
        for number in range(count)
    ]


async def plan(bus: Bus, rows: list[Recipient], number: int = 1) -> None:
    """What a launch leaves behind for one batch."""
    blobs = await bus.blobs()
    await blobs.put(compiled.blob_name("autumn"), compiled.encode(COMPILED))
    dictionary = compile_campaign(COMPILED, SETTINGS).dictionary(recipients(1)[0])
    await blobs.put(compiled.dictionary_name("autumn"), encode_dictionary(dictionary))
    writer = BatchWriter()
    for row in rows:
        writer.add(row)
    name = compiled.batch_name("autumn", number)
    await blobs.put(name, writer.finish())
    for lane in streams.lanes("autumn", "main"):
        await bus.create_consumer(lane)
    await set_status(bus, "running")
    await publish_job(bus, BatchJob("autumn", number, len(rows), name))


async def publish_job(bus: Bus, job: BatchJob, priority: schemas.Priority = "normal") -> None:
    await bus.publish("BATCHES", [Message(subjects.batches(job.campaign, priority), schemas.encode_batch(job))])


async def set_status(bus: Bus, status: schemas.CampaignStatus) -> None:
    campaign = Campaign("autumn", "Autumn letter", status, "main", "bounces@news.example.com", 1_800_000_000)
    await (await bus.bucket(streams.CAMPAIGNS)).put("autumn", schemas.encode_campaign(campaign))


async def produce(
    bus: Bus, clock: Callable[[], float], until: Callable[[], Any], settings: ProducerSettings = SETTINGS
) -> None:
    """A producer that works until the condition holds, and then disappears without a word. Raises what it dies of."""
    running = asyncio.create_task(
        worker.run(PermittedBus(bus, permissions.PRODUCER), settings, clock=clock, stop=asyncio.Event())
    )
    async with asyncio.timeout(20):
        while not running.done() and not await until():
            await asyncio.wait({running}, timeout=0.001)
        while not running.done():
            running.cancel()  # again and again: Python 3.11's wait_for, which nats-py uses, may swallow it (gh-86296)
            await asyncio.wait({running}, timeout=0.05)
    with suppress(asyncio.CancelledError):
        await running


async def send_everything(bus: Bus) -> list[str]:
    """A sender that takes all due mails, states their acceptance and acknowledges them; returns their addresses."""
    async with asyncio.timeout(20):
        return [address for lane in streams.lanes("autumn", "main") for address in await send_lane(bus, lane.name)]


async def send_lane(bus: Bus, lane: str) -> list[str]:
    sent: list[str] = []
    consumer = await bus.consumer("MAIL", lane)
    while await unsettled(bus, lane):
        deliveries = await consumer.fetch(1_000, 5)
        mails = [schemas.decode_mail(delivery.payload) for delivery in deliveries]
        accepted = [EmailAccepted("autumn", 0.0, m.mail_id, 1, m.recipient, "main", "gmail", 0.1) for m in mails]
        await bus.publish("EVENTS", [Message(facts.subject_of(f), facts.encode(f), facts.id_of(f)) for f in accepted])
        await consumer.ack(deliveries)
        sent += [mail.recipient for mail in mails]
    await consumer.close()
    return sent


async def unsettled(bus: Bus, consumer: str) -> int:
    state = await bus.consumer_state("MAIL", consumer)
    return 0 if state is None else state.waiting + state.in_flight


async def stated(bus: Bus, kind: type[facts.Fact]) -> list[facts.Fact]:
    """All facts of a type in EVENTS."""
    found = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    return [fact for fact in found if isinstance(fact, kind)]


class Killed(BaseException):
    """kill -9."""


class Life:
    def __init__(self, calls: int) -> None:
        """How many moments before and after calls to the bus it lasts."""
        self.left = calls

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class Mortal:
    """A process's view of a bus: each call may be its last, before it takes effect or after."""

    def __init__(self, target: Any, life: Life) -> None:
        self._target = target
        self._life = life

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not callable(attribute):
            return attribute
        if inspect.isasyncgenfunction(attribute):
            return lambda *given, **named: self._iterate(attribute(*given, **named))

        async def call(*given: Any, **named: Any) -> Any:
            self._life.step()
            if name == "publish":
                return await self._publish(*given)
            result = await attribute(*given, **named)
            self._life.step()
            return Mortal(result, self._life) if name in {"consumer", "bucket", "blobs"} else result

        return call

    async def _publish(self, stream: str, messages: Sequence[Message]) -> list[Stored]:
        """Where a batch is not atomic, death may come in the middle of it."""
        half = len(messages) // 2
        first = await self._target.publish(stream, messages[:half])
        self._life.step()
        rest = await self._target.publish(stream, messages[half:])
        self._life.step()
        return [*first, *rest]

    async def _iterate(self, items: Any) -> Any:
        async for item in items:
            self._life.step()
            yield item
