import pytest

from analytics.errors import ClickHouseUnavailable
from analytics.sparing import Sparing


class Question:
    """One whose answer takes long; it counts how often it was asked."""

    def __init__(self, clock, seconds):
        self._clock = clock
        self._seconds = seconds
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        self._clock.advance(self._seconds)
        return self.asked


@pytest.fixture
def sparing(clock):
    return Sparing(0.05, clock, clock)


async def test_what_takes_long_is_asked_for_seldom(sparing, clock):
    question = Question(clock, 0.5)
    assert [await sparing.get("spring", question) for _ in range(3)] == [1, 1, 1]
    clock.advance(9.9)
    assert await sparing.get("spring", question) == 1
    clock.advance(0.2)
    assert await sparing.get("spring", question) == 2


async def test_what_takes_no_time_is_asked_for_each_time(sparing, clock):
    question = Question(clock, 0)
    assert [await sparing.get("spring", question) for _ in range(3)] == [1, 2, 3]


async def test_each_question_is_kept_apart_and_an_error_is_not_kept(sparing, clock):
    spring, summer = Question(clock, 1), Question(clock, 1)
    assert (await sparing.get("spring", spring), await sparing.get("summer", summer)) == (1, 1)

    async def failing():
        raise ClickHouseUnavailable("away")

    with pytest.raises(ClickHouseUnavailable, match="away"):
        await sparing.get("autumn", failing)
    assert await sparing.get("autumn", Question(clock, 0)) == 1
