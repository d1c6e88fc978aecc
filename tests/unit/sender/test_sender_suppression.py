"""Senders send nothing to who is on the suppression list at that moment, and put on it whose address is dead."""

import asyncio

import pytest
from fakes import FakeClock
from sender_world import SETTINGS, FakePool, Process, World, refused

from events import streams, suppression
from events.errors import BusUnavailable
from events.memory_bus import MemoryBus
from events.suppression import PLAIN, Entry, Hashing, Removal
from events.suppression_list import SuppressionList
from sender import worker
from sender.drivers.base import Unknown


class Deaf(MemoryBus):
    """A bus on which the suppression list cannot be read while `deaf`."""

    deaf = False
    claims_wait = None
    """When set, claims are stored no sooner than this event."""

    def __init__(self, clock):
        super().__init__(clock)
        self.claimed = asyncio.Event()

    async def publish(self, stream, messages):
        if stream == streams.CLAIMS.name and self.claims_wait is not None:
            self.claimed.set()
            await self.claims_wait.wait()
        return await super().publish(stream, messages)

    async def read(self, stream, filter_subject, *, from_sequence=1, follow=False):
        async for record in super().read(stream, filter_subject, from_sequence=from_sequence, follow=follow):
            if stream == streams.SUPPRESSION.name and self.deaf:
                raise BusUnavailable("the test made it deaf")
            yield record

    async def stream_state(self, stream):
        if stream == streams.SUPPRESSION.name and self.deaf:
            raise BusUnavailable("the test made it deaf")
        return await super().stream_state(stream)


@pytest.fixture
async def world():
    found = World(FakeClock())
    found.bus = Deaf(found.clock)
    await found.set_up()
    yield found
    await found.stop()


async def say(world, *said):
    await suppression.suppress(world.bus, said)


def gone(mail, reason="unsubscribe", **fields):
    return Entry(f"{mail}@example.org", reason, 1_800_000_000, **fields)


async def listed(world, hashing=PLAIN):
    known = SuppressionList(world.bus, hashing, world.clock)
    await known.catch_up()
    return dict(known.among("", [f"{mail}@example.org" for mail in world.mails]))


async def test_a_mail_to_somebody_on_the_list_is_not_sent_and_says_why(world):
    await say(world, gone("mail00", "complaint"))
    await world.queue("mail00", "mail01", provider="gmail")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["suppressed"], "mail01": ["accepted"]}
    assert [fact.reason for fact in await world.facts() if fact.mail_id == "mail00"] == ["complaint"]
    assert not world.relay.took["mail00"]


async def test_an_unsubscription_stops_mail_that_is_queued_and_mail_that_waits_for_a_retry(world):
    world.relay.script["mail00"] = [refused("soft")]
    await world.queue("mail00")
    await world.start()
    await world.until_settled(due_only=True)
    await world.set_campaign(status="paused")
    await world.queue("mail01", "mail02")
    await say(world, gone("mail00"), gone("mail01"))
    await world.set_campaign(status="running")
    await world.until_settled()
    assert await world.stories() == {
        "mail00": ["deferred", "suppressed"],
        "mail01": ["suppressed"],
        "mail02": ["accepted"],
    }


async def test_who_left_one_list_still_gets_mail_of_others(world):
    await say(world, gone("mail00", list="news"), gone("mail01", list="offers"))
    await world.set_campaign(list="news")
    await world.queue("mail00", "mail01")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["suppressed"], "mail01": ["accepted"]}


async def test_nothing_is_sent_before_the_list_is_known_as_it_was_at_the_start(world):
    await say(world, gone("mail00"))
    await world.queue("mail00", "mail01")
    world.bus.deaf = True
    starting = await world.start()
    await asyncio.sleep(0.05)
    assert not starting.starting.done()
    assert not world.relay.took
    world.bus.deaf = False
    await world.until_settled()
    assert await world.stories() == {"mail00": ["suppressed"], "mail01": ["accepted"]}


async def test_a_sender_that_waits_for_the_list_ends_when_it_is_told_to(world):
    world.bus.deaf = True
    stop = asyncio.Event()
    settings = (SETTINGS, lambda name, relay: FakePool(world.relay, Process(), world.clock))
    running = asyncio.create_task(worker.run(world.bus, *settings, clock=world.clock, stop=stop))
    await asyncio.sleep(0.02)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 5)


async def test_a_sender_that_is_cut_off_from_the_list_sends_nothing_until_it_has_caught_up(world):
    starting = await world.start()
    await starting.starting
    world.bus.deaf = True
    await world.until(lambda: not starting._suppression._is_current.is_set())
    await say(world, gone("mail00"))
    await world.queue("mail00", "mail01")
    await asyncio.sleep(0.05)
    assert not world.relay.took
    world.bus.deaf = False
    await world.until_settled()
    assert await world.stories() == {"mail00": ["suppressed"], "mail01": ["accepted"]}


async def test_a_mail_whose_claim_took_as_long_as_a_partition_is_not_sent_before_the_list_is_known_again(world):
    starting = await world.start()
    await starting.starting
    world.bus.claims_wait = asyncio.Event()
    await world.queue("mail00", "mail01", provider="gmail")
    await asyncio.wait_for(world.bus.claimed.wait(), 10)
    world.bus.deaf = True
    await say(world, gone("mail00"))
    await world.until(lambda: not starting._suppression._is_current.is_set())
    world.bus.claims_wait.set()
    await asyncio.sleep(0.05)
    assert not world.relay.took
    world.bus.deaf = False
    await world.until_settled()
    assert await world.stories() == {"mail00": ["suppressed"], "mail01": ["accepted"]}


async def test_hashes_of_another_secret_stop_every_mail(world):
    await suppression.suppress(world.bus, [gone("mail00")], Hashing("correct horse battery staple"))
    await world.queue("mail01")
    starting = await world.start()
    await asyncio.sleep(0.05)
    assert not starting.starting.done()
    assert not world.relay.took


async def test_somebody_who_came_back_gets_mail(world):
    await say(world, gone("mail00"))
    await say(world, Removal("mail00@example.org", 1_800_000_001))
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["accepted"]}


async def test_a_dead_address_is_listed_and_its_fact_says_so(world):
    world.relay.script["mail00"] = [refused("hard", suppress=True)]
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    (bounced,) = await world.facts()
    assert bounced.suppress
    assert await listed(world) == {"mail00@example.org": "hard_bounce"}
    await world.queue("mail00", attempt=2)
    await world.until_settled()
    assert await world.stories() == {"mail00": ["bounced", "suppressed"]}


@pytest.mark.parametrize("failure_class", ["soft", "block", "transient", "throttled", "hard"])
async def test_nothing_else_that_fails_lists_anybody(world, failure_class):
    world.relay.script["mail00"] = [refused(failure_class)] * 4
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await listed(world) == {}


async def test_a_mail_that_a_dead_sender_may_have_sent_is_in_doubt_and_not_called_suppressed(world):
    world.relay.gate = asyncio.Event()
    await world.queue("mail00")
    first = await world.start()
    await world.until(lambda: world.relay.took["mail00"])
    await world.kill(first)
    await say(world, gone("mail00"))
    await world.pass_time(80)
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["in_doubt"]}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 20))
async def test_whenever_a_sender_dies_a_stated_dead_address_is_listed_once_known_and_nobody_is_told_twice(at, after):
    world = World(FakeClock())
    await world.set_up()
    world.relay.script["mail00"] = [refused("hard", suppress=True)]
    world.relay.script["mail01"] = [Unknown("taken")]
    await say(world, gone("mail02"))
    await world.queue("mail00", "mail01", "mail02", "mail03", provider="gmail")
    first = await world.start(Process(at, after=after))
    await world.until_settled(unless=first.process.stopped)
    await world.kill(first)
    world.clock.advance(70)
    await world.start()
    await world.until_settled()
    stories = await world.stories()
    assert set(stories) == set(world.mails)
    assert stories["mail00"] != ["bounced"] or "mail00@example.org" in await listed(world)
    assert stories["mail02"] in (["suppressed"], ["in_doubt"])
    assert not world.relay.took["mail02"]
    assert all(len(words) == 1 for words in stories.values())
    await world.stop()
