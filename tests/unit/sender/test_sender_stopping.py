import asyncio

from sender.stopping import cancel


async def test_a_task_that_swallows_a_cancellation_is_asked_again():
    swallowed = 0

    async def stubborn():
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    async def done():
        return

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(done())]
    await asyncio.sleep(0)
    await cancel(tasks)
    assert all(task.done() for task in tasks)
    assert swallowed == 3


async def test_nothing_to_end():
    await cancel([])
