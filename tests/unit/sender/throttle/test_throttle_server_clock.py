"""How well a sender knows what time it is for the server."""

import asyncio

import pytest
import virtual_time
from hypothesis import given
from hypothesis import strategies as st
from one_sender import new_bus, one_sender

from sender.settings import Relay
from sender.throttle.limits import Limits
from sender.throttle.server_clock import DRIFT, Offset, ServerClock, better, measured

seconds = st.floats(0, 2)


@given(st.floats(-1e6, 1e6), seconds, seconds)
def test_the_error_is_no_more_than_half_the_way_there_and_back(ahead, there, back):
    offset = measured(100.0, 100.0 + there + ahead, 100.0 + there + back)
    assert abs(offset.seconds - ahead) <= offset.error + 1e-6


def test_a_quicker_answer_is_better():
    good, slow = Offset(5.0, 0.001, 10.0), Offset(5.01, 0.02, 11.0)
    assert better(None, slow) == slow
    assert better(slow, good) == good
    assert better(good, slow) == good


def test_what_was_measured_long_ago_is_less_sure():
    old = Offset(5.0, 0.001, 0.0)
    new = Offset(5.01, 0.02, 0.02 / DRIFT)
    assert better(old, new) == new


def test_a_clock_that_somebody_set_is_noticed():
    assert better(Offset(5.0, 0.001, 10.0), Offset(3.0, 0.05, 20.0)).seconds == 3.0


async def test_the_clock_is_that_of_the_server(memory_bus, clock):
    ours = ServerClock(memory_bus, lambda: 7.0)
    assert ours.now() is None
    ours.offset = better(ours.offset, await ours._ask())
    assert ours.now() == pytest.approx(clock())


class Unheard:
    """A bus that does not say what time it is before it is `heard`."""

    def __init__(self, real):
        self._real = real
        self.heard = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._real, name)

    async def server_time(self):
        await self.heard.wait()
        return await self._real.server_time()


@pytest.mark.parametrize("limits", [Limits(rate=20), Limits(connections=2), Limits(daily=5)])
def test_lanes_that_waited_for_the_clock_go_once_it_is_known(limits):
    async def main():
        bus = Unheard(await new_bus())
        async with one_sender(bus, main=Relay(limits=limits)) as sender:
            lane = sender.new_lane(mails=5)
            assert not lane.gates.is_open()
            lane.woken.clear()
            bus.heard.set()
            async with asyncio.timeout(1):
                await lane.woken.wait()
            assert lane.gates.is_open()

    virtual_time.run(main())
