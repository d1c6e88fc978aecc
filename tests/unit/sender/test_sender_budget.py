"""What may be claimed and not yet stated is bounded, and whoever waits for room is served in order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.budget import Budget


async def waiting(budget, number):
    task = asyncio.create_task(budget.take(number))
    await asyncio.sleep(0)
    return task


async def test_what_is_free_is_taken_at_once():
    budget = Budget(32)
    await budget.take(16)
    await budget.take(16)
    assert budget.free == 0


async def test_who_came_first_is_served_first_and_nobody_for_less_than_they_asked():
    budget = Budget(16)
    await budget.take(16)
    first, second = await waiting(budget, 16), await waiting(budget, 4)
    budget.give(10)
    await asyncio.sleep(0)
    assert (first.done(), second.done()) == (False, False)
    budget.give(6)
    await first
    assert (second.done(), budget.free) == (False, 0)
    budget.give(4)
    await second


async def test_who_gives_up_waiting_takes_nothing_and_lets_the_next_go_ahead():
    budget = Budget(16)
    await budget.take(12)
    large, small = await waiting(budget, 16), await waiting(budget, 4)
    large.cancel()
    with pytest.raises(asyncio.CancelledError):
        await large
    await small
    assert budget.free == 0


async def test_who_gives_up_in_the_moment_of_being_served_gives_it_back():
    budget = Budget(16)
    await budget.take(16)
    task = await waiting(budget, 16)
    budget.give(16)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.free == 16


async def test_who_gave_up_before_something_came_free_gives_nothing_back():
    budget = Budget(16)
    await budget.take(16)
    task = await waiting(budget, 16)
    task.cancel()
    budget.give(16)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.free == 16


@given(steps=st.lists(st.tuples(st.sampled_from(["take", "give", "cancel"]), st.integers(1, 16)), max_size=60))
async def test_nothing_is_lost_and_never_more_taken_than_there_is(steps):
    budget, tasks = Budget(32), []
    for step, number in steps:
        match step:
            case "take":
                tasks.append((number, await waiting(budget, number)))
            case "give":
                done = [pair for pair in tasks if pair[1].done()]
                if done:
                    tasks.remove(done[0])
                    budget.give(done[0][0])
            case "cancel":
                open_ = [pair for pair in tasks if not pair[1].done()]
                if open_:
                    open_[0][1].cancel()
                    tasks.remove(open_[0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert budget.free >= 0
        assert budget.free + sum(number for number, task in tasks if task.done()) == 32
    for _, task in tasks:
        task.cancel()
