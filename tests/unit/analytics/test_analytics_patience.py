import asyncio

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from analytics.clickhouse import failures
from analytics.errors import ClickHouseRefused, ClickHouseUnavailable, PartVanished
from analytics.patience import Patience, Stopped
from events.errors import BusUnavailable


class Step:
    """Fails as often as it is given errors, then says how often it was called."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def patience(stop=None, seconds=0.001):
    return Patience(seconds, seconds, stop or asyncio.Event())


async def test_a_step_is_repeated_until_what_it_needs_is_back():
    assert await patience().insist(Step(BusUnavailable("away"), ClickHouseUnavailable("away"))) == 3


async def test_what_asking_again_does_not_help_against_is_raised():
    with pytest.raises(ClickHouseRefused):
        await patience().insist(Step(ClickHouseRefused("no such table")))


async def test_a_stop_ends_the_wait():
    stop = asyncio.Event()
    stop.set()
    step = Step(*[BusUnavailable("away")] * 9)
    with pytest.raises(Stopped):
        await patience(stop, seconds=60).insist(step)
    assert step.calls == 1


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (OperationalError("connection refused"), ClickHouseUnavailable),
        (DatabaseError("Code: 241. memory limit", code=241), ClickHouseUnavailable),
        (DatabaseError("Code: 999. Keeper", code=999), ClickHouseUnavailable),
        (DatabaseError("Code: 1001. in file_size: No such file or directory", code=1001), PartVanished),
        (DatabaseError("Code: 60. unknown table", code=60), ClickHouseRefused),
        (DatabaseError("something else"), ClickHouseRefused),
    ],
)
def test_errors_of_the_driver_say_whether_to_ask_again(error, meaning):
    assert type(failures.from_driver(error)) is meaning
