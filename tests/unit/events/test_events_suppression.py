"""What the suppression list says, whatever was said in which order, by whom, and however often it was compacted meanwhile."""

import asyncio
from contextlib import aclosing

import pytest
from fakes import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st

from events import streams, suppression, suppression_book
from events.memory_bus import MemoryBus
from events.suppression import (
    PLAIN,
    REASONS,
    Entry,
    ForeignHashes,
    Hashing,
    Removal,
    SecretTooShort,
    Store,
    suppress,
)
from events.suppression_list import SuppressionList

KEYED = Hashing("correct horse battery staple")
PEOPLE = ("ann@example.com", "bob@example.com", "eve@example.com")
NOW = 1_800_000_000


@pytest.fixture
async def bus(memory_bus):
    return memory_bus


async def loaded(bus, hashing=PLAIN, clock=lambda: NOW):
    known = SuppressionList(bus, hashing, clock)
    await known.catch_up()
    return known


def entry(address="ann@example.com", reason="unsubscribe", **fields):
    return Entry(address, reason, **({"at": NOW, "source": "a test"} | fields))


async def standing(bus, hashing=PLAIN, now=NOW):
    async with aclosing(suppression_book.standing(bus, hashing, lambda: now)) as found:
        return [one async for one in found]


async def payloads(bus):
    return b"".join([record.payload async for record in bus.read(streams.SUPPRESSION.name, "suppression")])


async def test_whoever_is_on_the_list_for_all_is_suppressed_on_every_list(bus):
    await suppress(bus, [entry()])
    known = await loaded(bus)
    assert known.among("", PEOPLE) == known.among("news", PEOPLE) == {"ann@example.com": "unsubscribe"}


async def test_an_entry_of_one_list_holds_for_its_campaigns_alone(bus):
    await suppress(bus, [entry(list="news")])
    known = await loaded(bus)
    assert known.among("news", PEOPLE) == {"ann@example.com": "unsubscribe"}
    assert not known.among("", PEOPLE)
    assert not known.among("offers", PEOPLE)


async def test_spellings_of_one_mailbox_are_one(bus):
    await suppress(bus, [entry("Ann@example.com")])
    assert (await loaded(bus)).among("", ["ANN@example.com"]) == {"ANN@example.com": "unsubscribe"}


async def test_an_entry_for_a_time_ends(bus):
    clock = FakeClock(NOW)
    await suppress(bus, [entry(reason="soft_bounce", expires_at=NOW + 60)])
    known = await loaded(bus, clock=clock)
    assert known.among("", PEOPLE)
    clock.advance(61)
    assert not known.among("", PEOPLE)


async def test_what_is_said_later_never_weakens_what_holds(bus):
    await suppress(bus, [entry(reason="complaint")])
    await suppress(bus, [entry(reason="soft_bounce", expires_at=NOW + 60), entry(reason="manual")])
    assert (await loaded(bus)).among("", PEOPLE) == {"ann@example.com": "complaint"}
    assert [one.reason for one in await standing(bus)] == ["complaint"]


async def test_a_removal_takes_back_what_was_said_before_it_on_its_list(bus):
    await suppress(bus, [entry(), entry(list="news")])
    await suppress(bus, [Removal("ann@example.com", NOW)])
    known = await loaded(bus)
    assert not known.among("", PEOPLE)
    assert known.among("news", PEOPLE)
    await suppress(bus, [entry(reason="manual")])
    await known.catch_up()
    assert known.among("", PEOPLE) == {"ann@example.com": "manual"}


async def test_an_entry_may_replace_what_was_said_before_it_and_weaken_it(bus):
    await suppress(bus, [entry(reason="complaint"), entry(reason="complaint", list="news")])
    await suppress(bus, [entry(reason="hard_bounce", replaces=True)])
    known = await loaded(bus)
    assert known.among("", PEOPLE) == {"ann@example.com": "hard_bounce"}
    told = await suppression_book.told_of(bus, PLAIN, PLAIN.key("ann@example.com"), lambda: NOW)
    assert {(one.list, one.reason) for one in told.in_force} == {("", "hard_bounce"), ("news", "complaint")}
    await suppression_book.compact(bus, PLAIN, lambda: NOW)
    assert (await loaded(bus)).among("", PEOPLE) == {"ann@example.com": "hard_bounce"}


async def test_a_list_that_became_empty_costs_nothing_again(bus):
    await suppress(bus, [entry()])
    await suppress(bus, [Removal("ann@example.com", NOW)])
    assert not (await loaded(bus)).known.tables


async def test_an_import_is_few_messages_and_nobody_is_lost(bus):
    people = [f"person{n}@example.com" for n in range(5_001)]
    assert await suppress(bus, [entry(one, reason="manual") for one in people]) == 5_001
    assert (await bus.stream_state(streams.SUPPRESSION.name)).messages == 3
    assert (await loaded(bus)).among("", people) == dict.fromkeys(people, "manual")
    assert [one.address for one in await standing(bus)] == people


async def test_entries_of_many_sources_do_not_pile_up(bus):
    store = Store(bus, PLAIN)
    for number in range(1_200):
        await store.put(entry(f"person{number}@example.com", source=f"source {number}"))
    assert (await bus.stream_state(streams.SUPPRESSION.name)).messages >= 1_000
    await store.finish()
    assert len(await standing(bus)) == 1_200


async def test_saying_the_same_twice_changes_nothing(bus):
    for _ in range(2):
        await suppress(bus, [entry(), entry("bob@example.com", reason="complaint")])
    assert len(await standing(bus)) == 2
    assert (await suppression_book.compact(bus, PLAIN, lambda: NOW)) == (2, 4, 2)


async def test_the_same_words_after_a_removal_hold_again(bus):
    for said in (entry(), Removal("ann@example.com", NOW), entry()):
        await suppress(bus, [said])
    assert (await loaded(bus)).among("", PEOPLE)


async def test_with_a_secret_nothing_holds_an_address(bus):
    await suppress(bus, [entry(), Removal("bob@example.com", NOW)], KEYED)
    assert (await loaded(bus, KEYED)).among("", PEOPLE) == {"ann@example.com": "unsubscribe"}
    assert b"example.com" not in await payloads(bus)
    assert [one.address for one in await standing(bus, KEYED)] == [""]


async def test_hashes_of_another_secret_stop_everything(bus):
    await suppress(bus, [entry()], KEYED)
    for hashing in (PLAIN, Hashing("another secret, as long")):
        with pytest.raises(ForeignHashes, match="hash_secret"):
            await loaded(bus, hashing)


async def test_a_secret_that_is_set_later_takes_the_addresses_over_and_compacting_takes_them_out(bus):
    await suppress(bus, [entry(), entry("bob@example.com"), Removal("eve@example.com", NOW)])
    assert len((await loaded(bus, KEYED)).among("", PEOPLE)) == 2
    await suppression_book.compact(bus, KEYED, lambda: NOW)
    assert b"example.com" not in await payloads(bus)
    assert len((await loaded(bus, KEYED)).among("", PEOPLE)) == 2


def test_a_short_secret_is_refused():
    with pytest.raises(SecretTooShort, match="16"):
        Hashing("secret")


async def test_what_is_said_of_somebody_is_told_with_what_holds(bus):
    await suppress(bus, [entry(), entry("bob@example.com")])
    await suppress(bus, [Removal("ann@example.com", NOW + 5, "cli")])
    await suppress(bus, [entry(reason="hard_bounce", at=NOW + 9), entry(list="news", reason="complaint")])
    told = await suppression_book.told_of(bus, PLAIN, PLAIN.key("Ann@Example.com".lower()), lambda: NOW)
    assert [type(one) for one in told.said] == [Entry, Removal, Entry, Entry]
    assert {(one.list, one.reason) for one in told.in_force} == {("", "hard_bounce"), ("news", "complaint")}


async def test_why_several_get_no_mail_is_told_by_list(bus):
    await suppress(bus, [entry(), entry("bob@example.com", list="news", reason="complaint")])
    await suppress(bus, [entry("eve@example.com", expires_at=NOW - 9), entry("kim@example.com")])
    await suppress(bus, [Removal("kim@example.com", NOW), Removal("bob@example.com", NOW)])
    await suppress(bus, [entry(reason="hard_bounce", replaces=True), entry(list="news")])
    who = ["ann@example.com", "bob@example.com", "eve@example.com", "kim@example.com", "nobody@example.com"]
    expected = [{"": "hard_bounce", "news": "unsubscribe"}, {"news": "complaint"}, {}, {}, {}]
    keys = [PLAIN.key(address) for address in who]
    assert await suppression_book.reasons_of(bus, PLAIN, keys, lambda: NOW) == expected
    await suppression_book.compact(bus, PLAIN, lambda: NOW)
    assert await suppression_book.reasons_of(bus, PLAIN, keys, lambda: NOW) == expected


async def test_counts_are_by_list_and_reason(bus):
    await suppress(bus, [entry(), entry(list="news"), entry("bob@example.com"), entry("eve@example.com", expires_at=9)])
    counts = await suppression_book.count(bus, PLAIN, lambda: NOW)
    assert counts == ({("", "unsubscribe"): 2, ("news", "unsubscribe"): 1}, 1)


async def test_a_message_of_a_later_release_stops_nobody(bus, caplog):
    await suppress(bus, [entry()])
    await bus.publish(streams.SUPPRESSION.name, [suppression.message_of(entry(), PLAIN)._replace(payload=b"?", id="")])
    await suppress(bus, [entry("bob@example.com")])
    assert len((await loaded(bus)).among("", PEOPLE)) == 2
    assert "cannot be read" in caplog.text


def test_a_reason_of_a_later_release_still_suppresses():
    assert suppression.reason_of("spam_trap") == "complaint"


def test_keys_survive_an_export():
    key = KEYED.key("ann@example.com")
    assert suppression.read_spelled(suppression.spell(key, KEYED), KEYED) == key
    for text in ("plain:" + key.hex(), "nonsense", f"{KEYED.scheme}:abcd", f"{KEYED.scheme}:zz"):
        with pytest.raises(ValueError, match=r"hash|hex"):
            suppression.read_spelled(text, KEYED)


# Followers


class Impatience:
    def __init__(self):
        self.waited = asyncio.Event()

    async def wait(self, error):
        self.waited.set()
        await asyncio.sleep(0.002)

    def succeeded(self):
        """Nothing to forget."""


async def until(condition):
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


@pytest.fixture
async def follower(bus):
    known = await loaded(bus)
    known.patience = Impatience()
    task = asyncio.create_task(known.follow(known.patience))
    yield known
    task.cancel()
    await asyncio.wait({task})


async def test_a_follower_knows_what_is_said_while_it_follows(bus, follower):
    await suppress(bus, [entry()])
    await until(lambda: follower.among("", PEOPLE))
    await suppress(bus, [Removal("ann@example.com", NOW)])
    await until(lambda: not follower.among("", PEOPLE))


async def test_a_follower_that_is_cut_off_is_not_current_until_it_has_caught_up(bus, follower):
    bus.unavailable = True
    await follower.patience.waited.wait()
    waiting = asyncio.create_task(follower.current())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    bus.unavailable = False
    await suppress(bus, [entry()])
    await asyncio.wait_for(waiting, 5)
    assert follower.among("", PEOPLE)


async def test_whoever_missed_a_removal_that_was_compacted_away_reads_anew(bus):
    await suppress(bus, [entry(), entry("bob@example.com")])
    known = await loaded(bus)
    await suppress(bus, [Removal("ann@example.com", NOW)])
    await suppression_book.compact(bus, PLAIN, lambda: NOW)
    await known.catch_up()
    assert set(known.among("", PEOPLE)) == {"bob@example.com"}


# Any history, with compactions that die, overlap and are overtaken


class Compaction:
    """`suppression_book.compact`, in steps between which others act."""

    def __init__(self, bus):
        self.bus = bus
        self.steps = [self.read, self.collect, self.say_again, self.purge]

    async def step(self):
        try:
            await self.steps.pop(0)()
        except suppression_book.CompactedMeanwhile:
            self.steps = []

    async def read(self):
        self.end = await loaded(self.bus)

    async def collect(self):
        async with aclosing(suppression_book._standing(self.bus, self.end, lambda: NOW)) as found:
            self.entries = [one async for one in found]

    async def say_again(self):
        store = Store(self.bus, PLAIN, as_of=self.end.known.at)
        for one in self.entries:
            await store.put(one)
        await store.finish()

    async def purge(self):
        await self.bus.purge(streams.SUPPRESSION.name, ">", up_to=self.end.known.at)


ADD = st.builds(
    entry,
    st.sampled_from(PEOPLE[:2]),
    st.sampled_from(REASONS),
    list=st.sampled_from(("", "", "news")),
    expires_at=st.sampled_from((None, NOW - 5, NOW + 5, NOW + 50)),
)
REPLACE = ADD.map(lambda one: one._replace(replaces=True))
REMOVE = st.builds(Removal, st.sampled_from(PEOPLE[:2]), st.just(NOW), list=st.sampled_from(("", "", "news")))
STEPS = st.lists(
    st.one_of(ADD, ADD, REPLACE, REMOVE, st.just("follow"), st.sampled_from((0, 1))), min_size=8, max_size=24
)  # a number: the next step of one of two compactions that run at once


def told(model, list_):
    """Who gets no mail, by the rule in one line: the longest, then the gravest; for all or for the list."""
    found = {}
    for scope in dict.fromkeys(("", list_)):
        for (where, person), entries in model.items():
            longest = max(entries, key=lambda one: (one.expires_at or 1e12, REASONS.index(one.reason)), default=None)
            if where == scope and longest and (longest.expires_at or 1e12) > NOW:
                found.setdefault(person, longest.reason)
    return found


async def test_a_removal_prevails_over_what_a_compaction_says_again(bus):
    await suppress(bus, [entry()])
    compaction = Compaction(bus)
    await compaction.step()
    await compaction.step()
    await suppress(bus, [Removal("ann@example.com", NOW)])
    await compaction.step()
    assert not (await loaded(bus)).among("", PEOPLE)
    await compaction.step()
    assert not (await loaded(bus)).among("", PEOPLE)
    assert not await standing(bus)


async def test_a_compaction_that_was_overtaken_by_another_brings_nobody_back(bus):
    await suppress(bus, [entry()])
    slow, fast = Compaction(bus), Compaction(bus)
    await slow.step()
    await slow.step()
    await suppress(bus, [Removal("ann@example.com", NOW)])
    for _ in range(4):
        await fast.step()
    await slow.step()
    assert not (await loaded(bus)).among("", PEOPLE)
    assert not await standing(bus)


@settings(max_examples=400)
@given(STEPS)
def test_everybody_knows_the_same_whatever_was_said_and_compacted_in_between(steps):
    async def scenario():
        bus = MemoryBus(lambda: NOW)
        await bus.setup()
        model, compactions = {}, [Compaction(bus), Compaction(bus)]
        follower = await loaded(bus)
        for number, step in enumerate(steps):
            match step:
                case Entry():
                    said = step._replace(source=str(number))
                    await suppress(bus, [said])
                    before = [] if step.replaces else model.get((step.list, step.address), [])
                    model[step.list, step.address] = [*before, said]
                case Removal():
                    await suppress(bus, [step._replace(source=str(number))])
                    model[step.list, step.address] = []
                case "follow":
                    await follower.catch_up()
                case int():
                    await compactions[step].step()
                    if not compactions[step].steps:
                        compactions[step] = Compaction(bus)
        await follower.catch_up()
        fresh = await loaded(bus)
        for list_ in ("", "news"):
            assert fresh.among(list_, PEOPLE) == told(model, list_)
            assert follower.among(list_, PEOPLE) == told(model, list_)
        stand = {(one.list, one.address): one.source for one in await standing(bus)}
        assert set(stand) == {key for key in model if told({key: model[key]}, key[0])}
        assert all(source in {one.source for one in model[key]} for key, source in stand.items())
        await suppression_book.compact(bus, PLAIN, lambda: NOW)
        assert (await loaded(bus)).among("news", PEOPLE) == told(model, "news")

    asyncio.run(scenario())
