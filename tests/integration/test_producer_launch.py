"""Launches on both buses, killed at every single step, and gone on with."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from fakes import FakeClock
from process_watching import until

from events import campaigns, facts, links, priority, schemas, streams, subjects
from events.bus import Message
from events.compression import decode_dictionary
from events.errors import StreamFull
from events.facts import BatchPlanned, BatchQueued, CampaignPlanned, CampaignStarted
from events.memory_bus import MemoryBus
from events.schemas import Campaign, Tracking
from producer import errors
from producer.campaign import compiled
from producer.campaign.check import Checked, check
from producer.launch import Launched, Progress, launch
from producer.recipients import blob
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings

SETTINGS = ProducerSettings(link_secret="a secret of the tests", batch_size=3, public_url="https://mail.example/")
ID = "sale"
CAMPAIGN = """\
id = "sale"
name = "Sale"
from = "Ann <ann@example.com>"
subject = "Hello {{ name }}"
html = "mail.html"
audience = "audience.csv"
deadline = "6h"
pool = "relay"
"""
ROWS = ["email,name", *(f"p{n}@example.com,Name {n}" for n in range(8)), "nobody,X", "P3@Example.com,again"]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "campaign.toml").write_text(CAMPAIGN)
    (tmp_path / "mail.html").write_text("<p>Hello {{ name }}</p>")
    (tmp_path / "audience.csv").write_text("\n".join(ROWS))
    return tmp_path


def checked(folder: Path, now: float = 1_800_000_000.0) -> Checked:
    found = check(folder / "campaign.toml", ["relay"], now, SETTINGS)
    assert found.problems == []
    return found


STANDING_STILL = FakeClock()


async def run(bus, folder: Path, clock=STANDING_STILL, settings=SETTINGS, on_progress=lambda _: None) -> Launched:
    """Checked a minute before it is launched."""
    return await launch(bus, checked(folder, clock() - 60), settings, clock=clock, on_progress=on_progress)


async def stated(bus) -> list[facts.Fact]:
    return [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.events_of_campaign(ID))]


async def planned_addresses(bus, numbers: list[int]) -> list[str]:
    blobs = await bus.blobs()
    found = [blob.decode(await blobs.get(compiled.batch_name(ID, number))) for number in numbers]
    return [recipient.address for recipients in found for recipient in recipients]


async def test_an_audience_becomes_a_campaign_with_batches_lanes_and_facts(bus, folder) -> None:
    result = await run(bus, folder)
    rejects = folder / "sale.rejects.csv"
    assert result == Launched(ID, 8, 3, duplicates=1, rejected=1, rejects=rejects, resumed=False, cancelled=False)
    assert rejects.read_text().splitlines()[1:] == ['10,An email address must have an @-sign.,"nobody,X"']
    known = await campaigns.get(bus, ID)
    assert (known.status, known.planned, known.batches, known.duplicates, known.rejected) == ("running", 8, 3, 1, 1)
    assert known.deadline == 1_800_000_000.0 - 60 + 6 * 3_600
    jobs = [schemas.decode_batch(record.payload) async for record in bus.read("BATCHES", subjects.batches(ID))]
    assert [(job.number, job.planned) for job in jobs] == [(1, 3), (2, 3), (3, 2)]
    assert await planned_addresses(bus, [1, 2, 3]) == [f"p{n}@example.com" for n in range(8)]
    started, *batches, ended = await stated(bus)
    assert isinstance(started, CampaignStarted)
    assert [batch.planned for batch in batches if isinstance(batch, BatchPlanned)] == [3, 3, 2]
    assert ended == CampaignPlanned(ID, ended.at, batches=3, planned=8, duplicates=1, rejected=1)
    for lane in streams.lanes(ID, "relay"):
        assert await bus.consumer_state("MAIL", lane.name) is not None


async def test_producers_find_the_campaign_and_a_whole_mail_as_dictionary(memory_bus, folder) -> None:
    await run(memory_bus, folder)
    blobs = await memory_bus.blobs()
    stored = compiled.decode(await blobs.get(compiled.blob_name(ID)))
    assert (stored.public_url, stored.created_at, stored.fields) == ("https://mail.example", 1_800_000_000, ("name",))
    dictionary = decode_dictionary(await blobs.get(compiled.dictionary_name(ID)))
    assert b"To: p0@example.com\r\n" in dictionary.first_mail
    assert b"Name 0" in dictionary.first_mail
    assert dictionary.form == compile_campaign(stored, SETTINGS).form


class Killed(BaseException):
    """The process died here."""


class DyingBus(MemoryBus):
    """Dies at its n-th change, before or after the change is made."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.changes = 0
        self.dies_at: tuple[int, str] | None = None

    async def change(self, effect):
        self.changes += 1
        if self.dies_at == (self.changes, "before"):
            effect.close()
            raise Killed
        result = await effect
        if self.dies_at == (self.changes, "after"):
            raise Killed
        return result

    async def publish(self, stream, messages):
        return await self.change(super().publish(stream, messages))

    async def create_consumer(self, spec):
        return await self.change(super().create_consumer(spec))

    async def bucket(self, name):
        return DyingStore(self, await super().bucket(name))

    async def blobs(self, store=streams.BLOBS):
        return DyingStore(self, await super().blobs(store))


class DyingStore:
    def __init__(self, bus: DyingBus, inner) -> None:
        self._bus = bus
        self._inner = inner

    def __getattr__(self, name: str):
        method = getattr(self._inner, name)
        if name not in {"put", "update", "delete"}:
            return method
        return lambda *arguments: self._bus.change(method(*arguments))


async def dying_bus(clock: FakeClock) -> DyingBus:
    bus = DyingBus(clock)
    await bus.setup()
    bus.changes = 0
    return bus


async def work_off(bus, clock: FakeClock) -> None:
    """What producers do with the batches that wait."""
    consumer = await bus.consumer("BATCHES", "producer")
    for delivery in await consumer.fetch(100, 0.01):
        job = schemas.decode_batch(delivery.payload)
        fact = BatchQueued(ID, clock(), job.number, job.planned, 0, 0, 1, 1)
        await bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))])
        await consumer.ack([delivery])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("producers_work", [False, True])
async def test_killed_at_any_change_a_launch_goes_on_and_plans_everybody_once(
    folder, when: str, producers_work: bool
) -> None:
    clock = FakeClock()
    counting = await dying_bus(clock)
    await run(counting, folder, clock)
    assert counting.changes > 15
    for number in range(1, counting.changes + 1):
        await killed_and_resumed(folder, clock, (number, when), producers_work)


async def killed_and_resumed(folder: Path, clock: FakeClock, dies_at: tuple[int, str], producers_work: bool) -> None:
    bus = await dying_bus(clock)
    bus.dies_at = dies_at
    with pytest.raises(Killed):
        await run(bus, folder, clock)
    bus.dies_at = None
    worked: Counter[int] = Counter()
    if producers_work:
        await work_off(bus, clock)
    clock.advance(3_600)  # the server has forgotten every message id
    if (known := await known_campaign(bus)) is None or known.planned is None:
        await run(bus, folder, clock)
    await work_off(bus, clock)
    said = await stated(bus)
    worked.update(fact.batch for fact in said if isinstance(fact, BatchQueued))
    assert worked == {1: 1, 2: 1, 3: 1}, dies_at
    kinds = Counter((type(fact), getattr(fact, "batch", 0)) for fact in said if not isinstance(fact, BatchQueued))
    assert kinds == {
        (CampaignStarted, 0): 1,
        (BatchPlanned, 1): 1,
        (BatchPlanned, 2): 1,
        (BatchPlanned, 3): 1,
        (CampaignPlanned, 0): 1,
    }, dies_at
    assert sorted(await planned_addresses(bus, [1, 2, 3])) == [f"p{n}@example.com" for n in range(8)]
    known = await campaigns.get(bus, ID)
    assert (known.status, known.planned, known.batches, known.duplicates, known.rejected) == ("running", 8, 3, 1, 1)


async def known_campaign(bus) -> Campaign | None:
    try:
        return await campaigns.get(bus, ID)
    except campaigns.CampaignNotFound:
        return None


async def interrupted(folder: Path) -> DyingBus:
    """Killed while the second batch is being published."""
    clock = FakeClock()
    bus = await dying_bus(clock)
    batch_two = [facts.id_of(BatchPlanned(ID, 0, 2, 3))]

    class Dying(DyingBus):
        async def publish(self, stream, messages):
            if [message.id for message in messages] == batch_two:
                raise Killed
            return await super().publish(stream, messages)

    bus.__class__ = Dying
    with pytest.raises(Killed):
        await run(bus, folder, clock)
    bus.__class__ = DyingBus
    return bus


async def test_a_resumed_launch_says_so_and_keeps_its_beginning(folder) -> None:
    bus = await interrupted(folder)
    dictionary = await (await bus.blobs()).get(compiled.dictionary_name(ID))
    bus.clock.advance(86_400)
    assert (await run(bus, folder, bus.clock)).resumed
    assert await (await bus.blobs()).get(compiled.dictionary_name(ID)) == dictionary
    assert (await campaigns.get(bus, ID)).created_at == 1_800_000_000.0


async def test_another_audience_is_not_gone_on_with(folder) -> None:
    bus = await interrupted(folder)
    (folder / "audience.csv").write_text("\n".join([*ROWS, "new@example.com,New"]))
    with pytest.raises(errors.AudienceChanged):
        await run(bus, folder, bus.clock)


async def test_another_template_is_not_gone_on_with(folder) -> None:
    bus = await interrupted(folder)
    (folder / "mail.html").write_text("<p>Goodbye {{ name }}</p>")
    with pytest.raises(errors.CampaignChanged):
        await run(bus, folder, bus.clock)


async def test_another_batch_size_changes_nothing_for_a_launch_that_was_begun(folder) -> None:
    bus = await interrupted(folder)
    result = await run(bus, folder, bus.clock, msgspec.structs.replace(SETTINGS, batch_size=100))
    assert result.batches == 3


async def test_the_same_people_under_a_new_id_of_the_next_day_are_refused(folder) -> None:
    bus = await interrupted(folder)
    (folder / "campaign.toml").write_text(CAMPAIGN.replace('id = "sale"', 'id = "sale-2"'))
    with pytest.raises(errors.CampaignInterrupted, match='Set id = "sale"'):
        await run(bus, folder, bus.clock)


async def test_a_planned_campaign_is_not_launched_again(memory_bus, folder) -> None:
    await run(memory_bus, folder)
    with pytest.raises(errors.CampaignExists, match="is running already"):
        await run(memory_bus, folder)


async def test_of_two_runs_at_once_the_first_gives_way(memory_bus, folder) -> None:
    second: list[asyncio.Task[Launched]] = []

    class Overtaken(MemoryBus):
        async def publish(self, stream, messages):
            stored = await super().publish(stream, messages)
            if messages[0].id == f"{ID}/batch/1" and not second:
                second.append(asyncio.create_task(run(self, folder)))
                await second[0]
            return stored

    memory_bus.__class__ = Overtaken
    with pytest.raises(errors.LaunchedElsewhere):
        await run(memory_bus, folder)
    assert (await second[0]).planned == 8
    assert [fact.batch for fact in await stated(memory_bus) if isinstance(fact, BatchPlanned)] == [1, 2, 3]


async def test_an_empty_audience_is_refused_before_anything_is_registered(memory_bus, folder) -> None:
    found = checked(folder)
    (folder / "audience.csv").write_text("email,name\nnobody,x\n")
    with pytest.raises(errors.AudienceEmpty):
        await launch(memory_bus, found, SETTINGS, clock=STANDING_STILL, on_progress=lambda _: None)
    assert await campaigns.all_of(memory_bus) == []
    assert await stated(memory_bus) == []


async def test_without_a_link_secret_nothing_is_registered(memory_bus, folder) -> None:
    with pytest.raises(errors.CampaignUnrenderable, match="link_secret"):
        await run(memory_bus, folder, settings=ProducerSettings())
    assert await campaigns.all_of(memory_bus) == []


async def test_rejects_go_where_the_setting_says(memory_bus, folder, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("rejects")
    result = await run(memory_bus, folder, settings=msgspec.structs.replace(SETTINGS, rejects_dir=elsewhere))
    assert result.rejects == elsewhere / "sale.rejects.csv"
    assert result.rejects.exists()


async def test_a_launch_waits_for_a_bus_that_refuses_and_says_why(memory_bus, folder) -> None:
    refusals = 2
    seen: list[Progress] = []

    class Full(MemoryBus):
        async def publish(self, stream, messages):
            nonlocal refusals
            if stream == "BATCHES" and refusals:
                refusals -= 1
                raise StreamFull("no space left")
            return await super().publish(stream, messages)

    memory_bus.__class__ = Full
    result = await run(memory_bus, folder, on_progress=seen.append)
    assert result.planned == 8
    assert [progress.waiting_for for progress in seen].count("no space left") == 2
    assert seen[-1] == Progress(rows=10, planned=8, duplicates=1, rejected=1, waiting_for="")


async def test_a_launch_leaves_the_rest_of_a_nearly_full_store_to_senders(memory_bus, folder) -> None:
    await memory_bus.publish("DLQ", [Message("dlq.old.other.soft", bytes(90_000))])
    memory_bus.storage_limit = 100_000
    seen: list[Progress] = []

    async def make_room() -> None:
        await until(lambda: any("JetStream holds" in progress.waiting_for for progress in seen))
        assert (await memory_bus.stream_state("BATCHES")).messages == 0
        await memory_bus.purge("DLQ", "dlq.>")

    _, result = await asyncio.gather(make_room(), run(memory_bus, folder, on_progress=seen.append))
    assert result.planned == 8


async def test_a_campaign_cancelled_meanwhile_is_planned_no_further(memory_bus, folder) -> None:
    class Cancelling(MemoryBus):
        async def publish(self, stream, messages):
            stored = await super().publish(stream, messages)
            if messages[0].id == f"{ID}/batch/1":
                await campaigns.cancel_campaign(self, ID)
            return stored

    memory_bus.__class__ = Cancelling
    result = await run(memory_bus, folder)
    assert (result.cancelled, result.planned, result.batches) == (True, 3, 1)
    known = await campaigns.get(memory_bus, ID)
    assert (known.status, known.planned, known.batches) == ("cancelled", 3, 1)


async def test_a_campaign_paused_meanwhile_is_planned_to_its_end_and_stays_paused(memory_bus, folder) -> None:
    class Pausing(MemoryBus):
        async def publish(self, stream, messages):
            stored = await super().publish(stream, messages)
            if messages[0].id == f"{ID}/batch/1":
                await campaigns.pause_campaign(self, ID)
            return stored

    memory_bus.__class__ = Pausing
    await run(memory_bus, folder)
    known = await campaigns.get(memory_bus, ID)
    assert (known.status, known.resume_to, known.planned) == ("paused", "running", 8)


async def test_the_links_of_a_tracked_campaign_are_there_for_whoever_serves_clicks(folder) -> None:
    (folder / "campaign.toml").write_text(CAMPAIGN + "tracking = { clicks = true }\nlist = 'news'\n")
    (folder / "mail.html").write_text('<p>{{ name }} <a href="https://shop.example/">Shop</a></p>')
    bus = MemoryBus(STANDING_STILL)
    await bus.setup()
    await launch(bus, checked(folder), SETTINGS, clock=STANDING_STILL, on_progress=lambda _: None)
    assert links.decode(await (await bus.blobs(streams.LINKS)).get(links.blob_name(ID))) == ("https://shop.example/",)
    assert (await campaigns.get(bus, ID)).tracking == Tracking(clicks=True)
    assert (await campaigns.get(bus, ID)).list == "news"


async def test_what_the_file_says_of_start_and_priority_is_registered(bus, folder) -> None:
    more = 'start = "2h"\npast_due = "send"\npast_due_after = "10m"\npriority = "urgent"\nweight = 3\n'
    (folder / "campaign.toml").write_text(CAMPAIGN + more)
    await run(bus, folder)
    known, start = await campaigns.get(bus, ID), 1_800_000_000.0 - 60 + 2 * 3_600
    assert (known.starts_at, known.past_due, known.grace_seconds, known.is_scheduled) == (start, "send", 600, True)
    assert (known.priority, known.weight) == ("urgent", 3)
    assert await bus.count_by_subject("BATCHES", subjects.BATCHES) == {"batches.urgent.sale": 3}
    stored = compiled.decode(await (await bus.blobs()).get(compiled.blob_name(ID)))
    assert stored.created_at == start


async def test_a_priority_that_is_changed_meanwhile_holds_for_every_batch(memory_bus, folder) -> None:
    class PrioritisedMeanwhile:
        """Somebody makes the campaign urgent while its second batch is on its way."""

        def __getattr__(self, name):
            return getattr(memory_bus, name)

        async def publish(self, stream, messages):
            if stream == "BATCHES" and messages[0].id == "sale/batch/2":
                await priority.change(memory_bus, ID, "urgent")
            return await memory_bus.publish(stream, messages)

    await run(PrioritisedMeanwhile(), folder)
    assert await memory_bus.count_by_subject("BATCHES", subjects.BATCHES) == {"batches.urgent.sale": 3}


async def test_a_launch_of_which_batches_were_moved_goes_on_without_repeating_them(memory_bus, folder) -> None:
    class DiesAtTheEnd:
        def __getattr__(self, name):
            return getattr(memory_bus, name)

        async def publish(self, stream, messages):
            if messages[0].id == "sale/campaign_planned":
                raise Killed
            return await memory_bus.publish(stream, messages)

    with pytest.raises(Killed):
        await run(DiesAtTheEnd(), folder)
    await priority.change(memory_bus, ID, "low")
    resumed = await run(memory_bus, folder)
    assert (resumed.resumed, resumed.batches) == (True, 3)
    assert await memory_bus.count_by_subject("BATCHES", subjects.BATCHES) == {"batches.low.sale": 3}
