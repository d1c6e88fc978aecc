from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import facts
from events.recount import Recount, Standing
from jetpost import comparison
from jetpost.comparison import ClickHouse, Comparison, Plan

IDS = [letter * 16 for letter in "27abz"] + ["ab" * 8]
MAILS = st.dictionaries(st.sampled_from(IDS), st.integers(1, 2))
"""Mails and the attempt at which each was accepted."""


def told(mails):
    recount = Recount()
    for mail, attempt in mails.items():
        recount.add(facts.EmailAccepted("spring", 1.0, mail, attempt, "jo@example.org", "main", "gmail", 1.0))
    return recount


def plan_of(mails):
    plan = Plan()
    for mail in mails:
        plan.add(mail)
    return plan


def clickhouse_with(mails):
    async def ask(path):
        query = parse_qs(urlsplit(path).query, keep_blank_values=True)
        left = sorted(mail for mail in mails if mail > query["after"][0])
        return {"mails": [[mail, mails[mail], "accepted"] for mail in left[: int(query["limit"][0])]]}

    return ClickHouse(ask, "spring", until=9)


@pytest.fixture(autouse=True, scope="module")
def small_pages():
    patch = pytest.MonkeyPatch()
    patch.setattr(comparison, "PAGE", 2)
    yield
    patch.undo()


@given(events=MAILS, counted=MAILS, planned=st.sets(st.sampled_from(IDS)))
async def test_differences_are_those_of_plain_sets(events, counted, planned):
    compared = Comparison(told(events), plan_of(planned), examples=9)
    await compared.run(clickhouse_with(counted))
    assert compared.differences == {
        "unstated": len(planned - events.keys()),
        "unplanned": len(events.keys() - planned),
        "only_in_events": len(events.keys() - counted.keys()),
        "only_in_clickhouse": len(counted.keys() - events.keys()),
        "differs": sum(counted.get(mail, attempt) != attempt for mail, attempt in events.items()),
    }
    assert (compared.events.total(), compared.clickhouse.total()) == (len(events), len(counted))
    assert Counter(example.kind for example in compared.examples) == {
        kind: number for kind, number in compared.differences.items() if number
    }


async def test_clickhouse_is_read_part_by_part_over_its_pages():
    clickhouse = clickhouse_with(dict.fromkeys(IDS, 1))
    assert await clickhouse.part("2") == {"2" * 16: Standing(1, "accepted")}
    assert list(await clickhouse.part("a")) == ["7" * 16, "a" * 16, "ab" * 8]
    assert list(await clickhouse.part(None)) == ["b" * 16, "z" * 16]
