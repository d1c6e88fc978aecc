"""Workers are killed at every step of their way, and nothing is lost, sent twice, or told twice.

Each test kills the first worker at its n-th call to the outside (a publish, an acknowledgement, one mail given to the relay),
before the call takes effect or after it and before the answer; then a second worker comes, soon or after everything that the
server remembers is forgotten.
"""

import asyncio
from collections import defaultdict

import pytest
from fakes import FakeClock
from sender_world import Process, World, refused

from events import dead_letters, facts, subjects
from events.facts import EmailInDoubt
from sender import journal
from sender.drivers.base import NotTried, Unknown

FINAL = {"accepted", "bounced", "failed", "expired", "in_doubt"}
SCRIPTS = {
    "soft": [refused("soft")],
    "hard": [refused("hard")],
    "block": [refused("block")],
    "throttled": [refused("throttled")],
    "unknown": [Unknown("taken")],
    "untried": [NotTried("closed")],
    "used-up": [refused("transient")] * 4,
}
CALLS = 50
"""More than a worker makes for these mails; the last deaths never come, and nothing may be in doubt but `unknown`."""


async def mails_with_a_past(policy="at_most_once"):
    world = await World(FakeClock(), policy=policy).set_up()
    for mail, script in SCRIPTS.items():
        world.relay.script[mail] = list(script)
    await world.queue("plain", *SCRIPTS, "other", provider="gmail")
    await world.pass_time(140)  # old enough that a claim may have been forgotten
    return world


async def die_and_recover(at, *, after, gap, policy="at_most_once"):
    world = await mails_with_a_past(policy)
    first = await world.start(Process(at, after=after))
    await world.until_settled(unless=first.process.stopped)
    await world.kill(first)
    claimed = await claims(world)
    world.clock.advance(gap)
    await world.start()
    await world.until_settled()
    await world.stop()
    return world, claimed


async def freeze_and_thaw(at, *, after, gap):
    world = await mails_with_a_past()
    first = await world.start(Process(at, after=after, freezes=True))
    await world.until_settled(unless=first.process.stopped)
    claimed = await claims(world)
    world.clock.advance(gap)
    await world.start()
    await world.until_settled()
    await world.pass_time(gap)
    first.process.thaw()
    await world.pass_time(80)
    await world.until_settled()
    await world.stop()
    return world, claimed | await claims(world)


async def claims(world):
    """The attempts that anybody ever claimed."""
    entries = [journal.decode(record.payload) async for record in world.bus.read("JOURNAL", subjects.JOURNAL)]
    fresh = {record.id async for record in world.bus.read("CLAIMS", subjects.CLAIMS)}
    return fresh | {attempt for entry in entries for attempt in entry.attempts}


async def told(world):
    stories = defaultdict(lambda: defaultdict(list))
    for fact in await world.facts():
        stories[fact.mail_id][fact.attempt].append(fact)
    return stories


async def check(world, claimed):
    stories = await told(world)
    kept = {letter.letter.mail.mail_id async for letter in dead_letters.read(world.bus, subjects.DLQ)}
    assert set(stories) == set(world.mails)
    for mail, attempts in stories.items():
        assert sorted(attempts) == list(range(1, max(attempts) + 1)), (mail, attempts)
        for attempt, said in attempts.items():
            doubt_resolved = len(said) == 2 and isinstance(said[0], EmailInDoubt)
            assert len(said) == 1 or doubt_resolved, (mail, said)
            if isinstance(said[0], EmailInDoubt) and mail != "unknown":
                assert f"{mail}/{attempt}" in claimed, (mail, said)
        last = facts.type_of(attempts[max(attempts)][-1])
        assert last in FINAL, (mail, attempts)
        assert last not in {"failed", "in_doubt"} or mail in kept, (mail, attempts)
        if world.relay.took[mail]:
            assert last in {"accepted", "in_doubt"}, (mail, attempts)
        else:
            assert last != "accepted", (mail, attempts)


@pytest.mark.parametrize("gap", [70, 700], ids=["soon", "after-the-window"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("start", range(1, CALLS, 10))
async def test_death_at_any_call_loses_nothing_and_sends_nothing_twice(start, after, gap):
    runs = await asyncio.gather(*(die_and_recover(n, after=after, gap=gap) for n in range(start, start + 10)))
    for world, claimed in runs:
        await check(world, claimed)
        assert max(world.relay.took.values()) == 1


@pytest.mark.parametrize("gap", [70, 700], ids=["short", "after-the-window"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("start", range(1, CALLS, 10))
async def test_a_worker_that_was_frozen_and_goes_on_sends_nothing_twice(start, after, gap):
    runs = await asyncio.gather(*(freeze_and_thaw(n, after=after, gap=gap) for n in range(start, start + 10)))
    for world, claimed in runs:
        await check(world, claimed)
        assert max(world.relay.took.values()) == 1


@pytest.mark.parametrize("start", range(1, CALLS, 10))
async def test_at_least_once_delivers_everything_and_twice_only_what_was_in_doubt(start):
    runs = await asyncio.gather(
        *(die_and_recover(n, after=True, gap=70, policy="at_least_once") for n in range(start, start + 10))
    )
    for world, claimed in runs:
        await check(world, claimed)
        stories = await told(world)
        for mail in ("plain", "other", "untried", "unknown"):
            assert world.relay.took[mail] >= 1, (mail, stories[mail])
            doubts = sum(isinstance(fact, EmailInDoubt) for said in stories[mail].values() for fact in said)
            assert world.relay.took[mail] <= 1 + doubts


@pytest.mark.parametrize(
    ("change", "unclaimed"),
    [({"deadline": 0.0}, ["expired"]), ({"status": "cancelled"}, None)],
    ids=["late", "cancelled"],
)
async def test_what_may_have_been_sent_is_in_doubt_and_neither_expired_nor_dropped(change, unclaimed):
    world = await World(FakeClock()).set_up()
    world.relay.gate = asyncio.Event()
    await world.queue(*[f"mail{n}" for n in range(9)], provider="gmail")
    first = await world.start()
    await world.until(lambda: len(world.relay.batches) == 2)
    await world.kill(first)
    await world.set_campaign(**change)
    world.clock.advance(70)
    await world.start()
    await world.until_settled()
    await world.stop()
    stories = await world.stories()
    assert [stories.pop(mail) for mail in world.relay.took] == [["in_doubt"]] * len(world.relay.took)
    assert list(stories.values()) == [unclaimed] * (9 - len(world.relay.took) if unclaimed else 0)
