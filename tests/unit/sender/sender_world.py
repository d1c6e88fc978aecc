"""A sender's surroundings in memory: a campaign with mails in its lanes, a relay that does as it is told, and processes that die.

A process dies like under `kill -9`: from then on nothing it does reaches anything, and nothing answers it.
"""

import asyncio
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from itertools import chain

import msgspec
from fakes import FakeClock
from permitted_bus import PermittedBus

from events import facts, ids, permissions, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.memory_bus import MemoryBus
from events.providers import PROVIDERS
from events.schemas import Campaign, Mail
from sender.adaptive.settings import AdaptiveSettings
from sender.drivers.base import Accepted, ConnectionFailed, NotTried, Refused, Reply, Unknown
from sender.settings import Relay, RetryPolicy, SenderSettings
from sender.worker import Worker

OK = Reply(250, "2.0.0", "queued")
DICTIONARY = b"From: news@example.com\r\nSubject: Hello\r\n\r\nDear reader, this is the news of the week.\r\n"
SETTINGS = SenderSettings(
    pools={"main": Relay(max_connections=2, pipeline_depth=3)},
    retry=RetryPolicy(transient_base_seconds=60, soft_interval_seconds=120, throttled_base_seconds=30),
    adaptive=AdaptiveSettings(enabled=False),  # its tests are tests/unit/sender/adaptive
    retry_pause_seconds=0.001,
    fetch_wait_seconds=0.002,
    fetch_mails=4,
    prefetch_mails=8,
    stop_seconds=5,
)


def accepted():
    return Accepted(OK, 0.0)


def refused(failure_class, **kwargs):
    return Refused(failure_class, f"{failure_class}_reason", Reply(451, "4.0.0", "no"), **kwargs)


class FakeRelay:
    """Takes every mail, or answers by the script of the mail, one outcome per attempt; counts what it really took."""

    def __init__(self, room=3):
        self.room = room
        self.script = defaultdict(list)
        self.took = Counter()
        self.down = False
        self.batches = []
        self.gate = None
        """When set, a delivery waits for this event before the relay answers."""

    def answer(self, outbound, at):
        outcome = self.script[outbound.mail_id].pop(0) if self.script[outbound.mail_id] else accepted()
        lost = isinstance(outcome, Unknown) and outcome.reason == "taken"
        if isinstance(outcome, Accepted) or lost:
            self.took[outbound.mail_id] += 1
        return outcome._replace(at=at) if isinstance(outcome, Accepted) else outcome


class Process:
    """Something that dies, or freezes until `thaw`, at its `at`th call to the outside: before its effect, or after it."""

    def __init__(self, at=None, *, after=False, freezes=False):
        self.at = at
        self.after = after
        self.freezes = freezes
        self.calls = 0
        self.stopped = asyncio.Event()
        """It is dead or frozen; a dead one never gets any further."""
        self.dead = False
        self._thawed = asyncio.Event()

    @property
    def frozen(self):
        return self.stopped.is_set() and not self._thawed.is_set()

    def thaw(self):
        self._thawed.set()

    def kill(self):
        self.dead = True
        self.stopped.set()

    async def call(self, effect, *, counts=True):
        await self._go_on()
        self.calls += counts
        now = counts and self.calls == self.at
        if now and not self.after:
            await self._stop()
        result = await effect()
        if now and self.after:
            await self._stop()
        await self._go_on()
        return result

    async def _stop(self):
        self.dead = not self.freezes
        self.stopped.set()
        await self._go_on()

    async def _go_on(self):
        while self.dead or self.frozen:
            await (asyncio.Event() if self.dead else self._thawed).wait()


_COUNTED = {"publish", "ack", "release", "extend", "replace", "delete", "update", "create_consumer"}
"""What changes something outside; fetching and looking are too frequent to die at each."""


class Wire:
    """Passes every call of a bus, consumer, bucket or blob store on, as long as the process lives."""

    def __init__(self, process, real):
        self._process = process
        self._real = real

    def __getattr__(self, name):
        method = getattr(self._real, name)
        if name in {"watch", "read", "timing", "interruptions"}:
            return method

        async def call(*args, **kwargs):
            result = await self._process.call(lambda: method(*args, **kwargs), counts=name in _COUNTED)
            return Wire(self._process, result) if name in {"consumer", "bucket", "blobs"} else result

        return call


class FakePool:
    def __init__(self, relay, process, clock):
        self.relay = relay
        self.process = process
        self.clock = clock
        self.closed = False

    @asynccontextmanager
    async def lease(self):
        if self.relay.down:
            raise ConnectionFailed("connection refused")
        yield self

    @property
    def room(self):
        return self.relay.room

    async def deliver(self, mails):
        answers = []
        for mail in mails:

            async def one(mail=mail):
                answers.append(self.relay.answer(mail, self.clock()))

            await self.process.call(one)
        self.relay.batches.append([mail.mail_id for mail in mails])
        if self.relay.gate is not None:
            await self.relay.gate.wait()
        return answers

    def keep_open(self, most):
        self.most_open = most

    async def close(self):
        self.closed = True


class World:
    def __init__(self, clock=None, **campaign):
        self.clock = clock or FakeClock()
        self.bus = MemoryBus(self.clock)
        self.relay = FakeRelay()
        self.relays = {}
        """By pool, where it is not `relay`."""
        self.campaign = Campaign(
            **(
                {
                    "id": "spring",
                    "name": "Spring",
                    "status": "running",
                    "pool": "main",
                    "return_path": "bounces@example.com",
                    "created_at": self.clock(),
                }
                | campaign
            )
        )
        self.workers = []
        self.mails = []

    async def set_up(self, count=0):
        await self.bus.setup()
        await (await self.bus.blobs()).put("spring/dictionary", DICTIONARY)
        for spec in streams.lanes("spring", "main"):
            await self.bus.create_consumer(spec)
        await self.set_campaign()
        await self.queue(*[f"mail{n:02}" for n in range(count)])
        return self

    async def set_campaign(self, **changes):
        self.campaign = msgspec.structs.replace(self.campaign, **changes)
        await (await self.bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(self.campaign))

    async def queue(self, *mail_ids, provider=None, **fields):
        compress = Compressor(DICTIONARY).compress
        for number, mail_id in enumerate(mail_ids):
            mail = Mail(
                **(
                    {
                        "mail_id": mail_id,
                        "recipient": f"{mail_id}@example.org",
                        "attempt": 1,
                        "queued_at": self.clock(),
                        "body": compress(DICTIONARY + mail_id.encode()),
                    }
                    | fields
                )
            )
            lane = provider or PROVIDERS[number % len(PROVIDERS)]
            message = Message(
                subjects.mail_due("main", lane, "spring"),
                schemas.encode_mail(mail),
                ids.attempt_id(mail_id, mail.attempt),
            )
            await self.bus.publish("MAIL", [message])
            self.mails.append(mail_id)

    async def start(self, process=None, settings=SETTINGS):
        process = process or Process()
        worker = Worker(
            Wire(process, PermittedBus(self.bus, permissions.SENDER)),
            settings,
            lambda name, relay: FakePool(self.relays.get(name, self.relay), process, self.clock),
            self.clock,
            lambda: 0.5,
        )
        worker.process = process
        self.workers.append(worker)
        worker.starting = asyncio.create_task(worker.start())
        return worker

    async def kill(self, worker):
        """Nothing of it reaches anything any more; then its tasks go."""
        worker.process.kill()
        mine = [worker.starting, *worker._slots, *worker._background, *chain(*worker._intake._feeding.values())]
        mine += [rounds._running for rounds in [worker._claims._rounds, *worker._journal._searches.values()]]
        mine = [task for task in mine if task is not None]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine)

    async def stop(self):
        for worker in self.workers:
            if worker.process.frozen:
                await self.kill(worker)
            if not worker.process.dead:
                await worker.stop()

    async def facts(self):
        return [facts.decode(r.payload) async for r in self.bus.read("EVENTS", subjects.EVENTS)]

    async def stories(self):
        """For each mail the words of its facts, in order of the attempts."""
        told = defaultdict(list)
        for fact in await self.facts():
            told[fact.mail_id].append((fact.attempt, facts.type_of(fact)))
        return {mail: [word for _, word in sorted(story, key=lambda s: s[0])] for mail, story in told.items()}

    async def left(self):
        return (await self.bus.stream_state("MAIL")).messages

    async def pass_time(self, seconds):
        """Move the clock on in steps: a worker whose fetch lasts long by the clock would look frozen to itself."""
        for _ in range(-(-seconds // 20)):
            self.clock.advance(20)
            await asyncio.sleep(0.006)

    async def until(self, condition, seconds=10):
        """Wait until an async or plain condition holds."""
        async with asyncio.timeout(seconds):
            while True:
                holds = condition()
                if asyncio.iscoroutine(holds):
                    holds = await holds
                if holds:
                    return
                await asyncio.sleep(0.002)

    async def until_settled(self, *, due_only=False, unless=None, seconds=10):
        """Wait until nothing is left in MAIL; time is moved on over the waits of retries, and of mails that nobody holds."""

        looks = 0

        async def settled():
            nonlocal looks
            looks += 1
            if unless is not None and unless.is_set():
                return True
            waiting = await self.bus.count_by_subject("MAIL", subjects.MAIL_WAITING)
            due = await self.left() - sum(waiting.values())
            if (due == 0 and waiting and not due_only) or looks % 30 == 0:
                await self.pass_time(20)
            return due == 0 and (due_only or not waiting)

        await self.until(settled, seconds)


__all__ = ["NotTried", "Process", "World", "accepted", "refused"]
