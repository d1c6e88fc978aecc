import pytest

from analytics.errors import ClickHouseUnavailable
from analytics.web.answers import KEPT_SECONDS, MOST_KEPT, Answers


class Asked:
    """Answers how often it was asked."""

    def __init__(self):
        self.times = 0

    async def __call__(self):
        self.times += 1
        return self.times


@pytest.fixture
def answers(clock):
    return Answers(clock)


async def test_while_nothing_is_inserted_a_question_is_asked_once(answers):
    asked = Asked()
    for _ in range(3):
        answers.as_of(17)
        assert await answers.get("ledger", asked) == 1


async def test_what_was_inserted_shows_at_once(answers):
    asked = Asked()
    for ingested in (17, 18):
        answers.as_of(ingested)
        await answers.get("ledger", asked)
    assert asked.times == 2


async def test_no_answer_is_kept_for_long(answers, clock):
    asked = Asked()
    answers.as_of(17)
    await answers.get("rate", asked)
    clock.advance(KEPT_SECONDS)
    assert await answers.get("rate", asked) == 2


async def test_while_nothing_is_inserted_memory_does_not_grow_with_the_questions(answers):
    answers.as_of(17)
    for campaign in range(3 * MOST_KEPT):
        await answers.get(("overview", campaign), Asked())
    assert len(answers) <= MOST_KEPT


async def test_where_nobody_knows_what_is_inserted_nothing_is_kept(answers):
    asked = Asked()
    for _ in range(2):
        answers.as_of(0)
        await answers.get("ledger", asked)
    assert asked.times == 2


async def test_an_answer_from_before_an_insert_is_not_kept_behind_it(answers):
    async def overtaken():
        answers.as_of(18)
        return "old"

    answers.as_of(17)
    await answers.get("ledger", overtaken)
    assert await answers.get("ledger", Asked()) == 1


async def test_an_error_is_not_kept(answers):
    async def refused():
        raise ClickHouseUnavailable("away")

    answers.as_of(17)
    with pytest.raises(ClickHouseUnavailable):
        await answers.get("ledger", refused)
    assert await answers.get("ledger", Asked()) == 1
