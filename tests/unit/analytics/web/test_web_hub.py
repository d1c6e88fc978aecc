"""One snapshot for all who watch, none when nobody does."""

import asyncio
from contextlib import ExitStack, suppress

import pytest

from analytics.errors import ClickHouseUnavailable
from analytics.web import hub as hub_module
from analytics.web.hub import Hub

SOON = 5.0


class Composer:
    """Counts what it is asked, and tells when."""

    def __init__(self):
        self.asked = []
        self.fail_with = []

    async def __call__(self, topic):
        self.asked.append(topic)
        if self.fail_with:
            raise self.fail_with.pop()
        return b"%s %d" % (topic.encode(), len(self.asked))


@pytest.fixture
def composer():
    return Composer()


@pytest.fixture
async def hub(composer, monkeypatch):
    monkeypatch.setattr(hub_module, "INTERVAL_SECONDS", 0.02)
    hub = Hub(composer)
    task = asyncio.create_task(hub.run())
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_nothing_is_composed_while_nobody_watches(hub, composer):
    with hub.watch("spring") as watcher:
        await watcher.next(SOON)
    seen = len(composer.asked)
    for _ in range(20):
        await asyncio.sleep(0)
    assert hub.topics == frozenset()
    assert len(composer.asked) <= seen + 1


async def test_a_hundred_watchers_cost_one_snapshot(hub, composer):
    with ExitStack() as watching:
        watchers = [watching.enter_context(hub.watch("spring")) for _ in range(100)]
        frames = await asyncio.gather(*(watcher.next(SOON) for watcher in watchers))
    assert {frame.payload for frame in frames} == {b"spring 1"}


async def test_each_watcher_gets_its_own_topic(hub):
    with hub.watch("spring") as spring, hub.watch("") as overview:
        assert (await spring.next(SOON)).payload.startswith(b"spring")
        assert (await overview.next(SOON)).payload.startswith(b" ")


async def test_frames_are_numbered_upwards(hub):
    with hub.watch("spring") as watcher:
        numbers = [(await watcher.next(SOON)).number for _ in range(3)]
    assert numbers == sorted(set(numbers))


async def test_a_slow_watcher_gets_the_newest_and_nothing_piles_up(hub):
    with hub.watch("spring") as slow, hub.watch("spring") as quick:
        for _ in range(4):
            newest = await quick.next(SOON)
        assert (await slow.next(SOON)).number == newest.number


async def test_a_newcomer_gets_what_is_there_at_once(hub):
    with hub.watch("spring") as first:
        frame = await first.next(SOON)
        with hub.watch("spring") as second:
            assert await second.next(0) == frame


@pytest.mark.parametrize("error", [ClickHouseUnavailable("gone"), ZeroDivisionError("a mistake of ours")])
async def test_a_round_that_fails_is_followed_by_one_that_may_not(hub, composer, error, caplog):
    composer.fail_with.append(error)
    with hub.watch("spring") as watcher:
        assert (await watcher.next(SOON)).payload == b"spring 2"
    assert "no snapshot of spring" in caplog.text


async def test_waiting_in_vain_gives_none(hub, composer):
    with hub.watch("spring") as watcher:
        await watcher.next(SOON)
        composer.fail_with.extend([ClickHouseUnavailable("gone")] * 1000)
        await watcher.next(0)
        assert await watcher.next(0.05) is None


async def test_closing_ends_the_wait_of_all(hub, composer):
    composer.fail_with.extend([ClickHouseUnavailable("gone")] * 1000)
    with hub.watch("spring") as watcher:
        waiting = asyncio.create_task(watcher.next(60))
        await asyncio.sleep(0)
        hub.close()
        assert await asyncio.wait_for(waiting, SOON) is None
        assert watcher.closed
