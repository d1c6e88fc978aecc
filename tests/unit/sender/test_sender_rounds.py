"""What is asked for while a call runs is asked for together in the next one."""

import asyncio

import pytest

from sender.rounds import Rounds


class Calls:
    def __init__(self):
        self.made = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def double(self, items):
        self.made.append(items)
        await self.gate.wait()
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


async def test_everybody_gets_the_answers_to_their_own():
    calls = Calls()
    rounds = Rounds(calls.double)
    answers = await asyncio.gather(*(rounds.do([n, n + 100]) for n in range(5)))
    assert answers == [[2 * n, 2 * n + 200] for n in range(5)]
    assert len(calls.made) == 1


async def test_who_comes_during_a_call_shares_the_next():
    calls = Calls()
    calls.gate.clear()
    rounds = Rounds(calls.double)
    first = asyncio.create_task(rounds.do([1]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(rounds.do([n])) for n in (2, 3)]
    await asyncio.sleep(0)
    calls.gate.set()
    assert await asyncio.gather(first, *others) == [[2], [4], [6]]
    assert calls.made == [[1], [2, 3]]


async def test_a_failure_reaches_everybody_in_the_round_and_nobody_after():
    rounds = Rounds(Calls().double)
    failed = await asyncio.gather(rounds.do([13]), rounds.do([1]), return_exceptions=True)
    assert [type(error) for error in failed] == [ValueError, ValueError]
    assert await rounds.do([1]) == [2]


async def test_who_gave_up_waiting_does_not_disturb_the_others():
    rounds = Rounds(Calls().double)
    gone, stays = asyncio.create_task(rounds.do([1])), asyncio.create_task(rounds.do([2]))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == [4]


async def test_closing_cancels_who_still_waits():
    calls = Calls()
    calls.gate.clear()
    rounds = Rounds(calls.double)
    waiting = [asyncio.create_task(rounds.do([n])) for n in (1, 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = asyncio.create_task(rounds.do([3]))
    await asyncio.sleep(0)
    await rounds.close()
    for task in [*waiting, late]:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
