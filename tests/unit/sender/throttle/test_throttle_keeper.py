"""Many who change one state: each change is made on what the others left."""

import asyncio

import msgspec

from events import streams
from sender.throttle.keeper import Keeper
from sender.throttle.state import EMPTY, State


def one_more(state):
    return msgspec.structs.replace(state, used=state.used + 1)


async def test_changes_of_many_keepers_add_up(memory_bus):
    keepers = [Keeper(memory_bus) for _ in range(8)]

    async def count(keeper):
        for _ in range(10):
            await keeper.change("main", one_more)

    await asyncio.gather(*map(count, keepers))
    assert (await Keeper(memory_bus).change("main", lambda state: state)).used == 80


async def test_a_decision_that_changes_nothing_writes_nothing(memory_bus):
    keeper = Keeper(memory_bus)
    assert await keeper.decide("main", lambda state: (state, "nothing")) == "nothing"
    assert await (await memory_bus.bucket(streams.THROTTLE)).entries() == []


async def test_what_others_change_is_told(memory_bus):
    mine, theirs, told = Keeper(memory_bus), Keeper(memory_bus), asyncio.Queue()
    following = asyncio.create_task(mine.follow(told.put_nowait))
    await theirs.change("main.gmail", lambda _: State(used=7))
    assert await told.get() == "main.gmail"
    assert mine.known("main.gmail").used == 7
    await theirs.remove("main.gmail")
    assert await told.get() == "main.gmail"
    assert mine.known("main.gmail") == EMPTY
    following.cancel()
    await asyncio.wait([following])


async def test_a_state_that_cannot_be_read_begins_anew(memory_bus):
    await (await memory_bus.bucket(streams.THROTTLE)).put("main", b"{?")
    assert (await Keeper(memory_bus).change("main", one_more)).used == 1


async def test_a_state_that_somebody_removed_begins_anew(memory_bus):
    keeper, other = Keeper(memory_bus), Keeper(memory_bus)
    await keeper.change("main", one_more)
    await other.remove("main")
    assert (await keeper.change("main", one_more)).used == 1
