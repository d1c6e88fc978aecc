"""What a sender has reserved and nobody will spend counts for no day: after a lane has moved on, and after a stop in order."""

import asyncio

import pytest
import virtual_time
from one_sender import new_bus, one_sender, until

from events.errors import BusUnavailable
from sender.settings import Relay
from sender.throttle.keeper import Keeper
from sender.throttle.limits import Limits
from sender.throttle.returns import Returns
from sender.throttle.state import State

POOL = Relay(lanes={"gmail": Limits(daily=100)})


class LateAnswers:
    """A bus that says what became of an update only once `answers` is set."""

    def __init__(self, real):
        self._real = real
        self.answers = asyncio.Event()
        self.answers.set()

    def __getattr__(self, name):
        return getattr(self._real, name)

    async def bucket(self, name):
        made = LateAnswers(await self._real.bucket(name))
        made.answers = self.answers
        return made

    async def update(self, key, value, revision):
        revision = await self._real.update(key, value, revision)
        await self.answers.wait()
        return revision


def test_a_lane_that_moves_on_gives_back_what_it_did_not_spend():
    async def main():
        async with one_sender(await new_bus(), main=POOL) as sender:
            lane = await sender.lane(mails=30)
            spent, unspent = await sender.take(lane, 5), await sender.take(lane, 5)
            assert sum([await permit.spend(permit.number) for permit in spent]) == 5
            assert sender.used() > 10
            sender.throttle.detach(lane)
            await until(lambda: sender.used() == 10)  # five are in the hands of sessions
            for permit in spent + unspent:
                permit.close()
            await until(lambda: sender.used() == 5)

    virtual_time.run(main())


@pytest.mark.parametrize("stops", [False, True])
def test_a_reservation_that_is_on_its_way_is_given_back_when_it_comes(stops):
    async def main():
        bus = LateAnswers(await new_bus())
        async with one_sender(bus, main=POOL) as sender:
            lane = await sender.lane(mails=30)
            bus.answers.clear()
            lane.gates.is_open()  # asks
            await until_used(bus, lambda used: used > 0)
            sender.throttle.detach(lane)
            asyncio.get_running_loop().call_later(1, bus.answers.set)
            if stops:
                await sender.throttle.close()
            await until_used(bus, lambda used: used == 0, 0.001 if stops else 2)

    virtual_time.run(main())


async def until_used(bus, condition, seconds=60):
    """As another sender sees it."""
    async with asyncio.timeout(seconds):
        while not condition((await Keeper(bus).change("main.gmail", lambda state: state)).used):  # noqa: ASYNC110 -- virtual time
            await asyncio.sleep(0.01)


def test_connections_are_given_back_at_a_stop():
    async def main():
        bus = await new_bus()
        async with one_sender(bus, main=Relay(limits=Limits(connections=4))) as sender:
            lane = await sender.lane(mails=30)
            await sender.take(lane, 1)
            assert sender.throttle.known("main").leases
        assert not (await Keeper(bus).change("main", lambda state: state)).leases

    virtual_time.run(main())


@pytest.mark.parametrize("error", [BusUnavailable("away"), RuntimeError("odd")])
async def test_what_may_have_been_given_back_is_not_given_back_again(error, caplog):
    changed = []

    async def change(key, transition):
        changed.append(transition(State(day=7, used=50)))
        raise error

    returns = Returns(change)
    returns.add("main.gmail", {7: 20, 6: 5})
    returns.add("main.gmail", {7: 0})
    await returns.settled()
    assert [state.used for state in changed] == [30]
    assert ("failed" in caplog.text) is isinstance(error, RuntimeError)


def test_a_day_is_not_used_up_for_who_has_tokens_of_it_in_hand():
    async def main():
        bus, pool = await new_bus(), Relay(lanes={"gmail": Limits(daily=2)})
        async with one_sender(bus, main=pool) as first, one_sender(bus, main=pool) as second:
            lane = await first.lane(mails=5)
            await second.lane()
            [permit] = await first.take(lane, 1)
            await permit.spend(1)
            await until(lambda: second.throttle.is_used_up("main", "gmail"))
            assert not first.throttle.is_used_up("main", "gmail")
            assert [await permit.spend(1) for permit in await first.take(lane, 1)] == [1]
            assert first.throttle.is_used_up("main", "gmail")

    virtual_time.run(main())
