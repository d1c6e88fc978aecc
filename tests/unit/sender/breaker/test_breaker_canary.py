import random
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.breaker import Canary, Health, Note
from events.schemas import Campaign, CanaryRule
from sender.breaker import canary, counting
from sender.breaker.canary import Fail, Pass, Size
from sender.breaker.counting import Report, Tally
from sender.breaker.judging import Limits

LIMITS = Limits(0.05, 0.05, 0.003, 100, 3_600.0)
RULE = CanaryRule()
SIZE = Size(50, final=True)
CAMPAIGN = Campaign("spring", "Spring", "running", "main", "b@example.com", 0.0)


def judged(*, now=10.0, size=SIZE, senders=None, limits=LIMITS, **counts):
    return canary.judge(Health("spring", canary=Canary(**counts), senders=senders or {}), size, limits, RULE, now)


@pytest.mark.parametrize(
    ("planned", "size"),
    [(None, Size(50, final=False)), (30, Size(30, final=True)), (5_000, SIZE), (1_000_001, Size(1_001, final=True))],
)
def test_the_canary_is_a_share_of_the_plan_and_some_tens_at_least(planned, size):
    assert canary.size_of(msgspec.structs.replace(CAMPAIGN, planned=planned), RULE) == size


def test_a_canary_passes_when_all_of_it_is_known_and_well():
    assert judged(tried=50, accepted=49, hard=1) == Pass()


def test_mails_that_wait_for_a_retry_do_not_hold_up_a_canary_as_long_as_most_are_known():
    assert judged(tried=50, accepted=25) == Pass()
    assert judged(tried=50, accepted=24) is None


def test_a_canary_waits_for_mails_that_are_on_their_way_and_for_the_end_of_the_audience():
    assert judged(tried=49, accepted=49, senders={"a": Note(1, 9.0, 1)}) is None
    assert judged(tried=50, accepted=50, size=Size(50, final=False)) is None


@pytest.mark.parametrize("bad", [{"hard": 12}, {"blocked": 12}])
def test_a_canary_with_too_much_that_is_bad_fails(bad):
    verdict = judged(tried=50, accepted=38, **bad)
    assert isinstance(verdict, Fail)
    assert verdict.opening.cause == "canary"
    assert "12 of 50 mails (24.00%)" in verdict.opening.reason


def test_a_large_canary_fails_before_it_is_through():
    assert isinstance(judged(size=Size(10_000, final=True), tried=200, accepted=100, blocked=100), Fail)


def test_one_bad_mail_at_the_beginning_is_not_the_end():
    assert judged(tried=1, blocked=1) is None


def test_where_the_audience_is_tiny_a_single_bad_mail_is_borne():
    tiny = Size(3, final=True)
    assert judged(size=tiny, tried=3, accepted=2, blocked=1) == Pass()
    assert isinstance(judged(size=tiny, tried=3, blocked=3), Fail)


def test_a_canary_whose_outcomes_never_come_fails_when_its_time_is_up():
    assert judged(tried=100, accepted=10, granted_at=100.0, now=999.0) is None
    verdict = judged(tried=100, accepted=10, granted_at=100.0, now=1_000.0)
    assert "90 of 100 mails have no outcome 15 minutes after" in verdict.opening.reason


@pytest.mark.parametrize(
    ("counts", "free"),
    [
        ({"tried": 50, "accepted": 50}, 0),
        ({"tried": 50, "accepted": 20, "other": 5}, 25),
        ({"tried": 80, "accepted": 20}, 20),
        ({"tried": 100, "accepted": 10}, 0),
        ({"tried": 40, "accepted": 30, "lost": 10}, 10),
    ],
)
def test_for_each_that_is_put_off_another_may_be_tried_up_to_as_many_again(counts, free):
    assert canary.free(Health("spring", canary=Canary(**counts)), SIZE) == free


def test_a_canary_passes_when_half_of_it_is_known_however_many_were_tried_for_that():
    assert judged(tried=90, accepted=24) is None
    assert judged(tried=90, accepted=25) == Pass()


def test_a_canary_that_is_known_for_the_most_part_passes_when_its_time_is_up():
    slow = {"a": Note(1, 9.0, 5)}
    assert judged(tried=45, accepted=45, senders=slow, granted_at=100.0, now=999.0) is None
    assert judged(tried=45, accepted=45, senders=slow, granted_at=100.0, now=1_000.0) == Pass()


def test_a_grant_is_harmless_to_repeat():
    first, granted = canary.grant(Health("spring"), "a", 0, 16, SIZE, 1.0)
    again, once_more = canary.grant(first, "a", 0, 16, SIZE, 1.0)
    assert (granted, once_more, again) == (16, 16, first)


def test_what_a_dead_sender_held_is_lost_and_the_others_do_without_it():
    health = Health("spring", canary=Canary(tried=40, accepted=40), senders={"dead": Note(3, 0.0, 10)})
    buried = canary.bury(health, 100.0, SIZE)
    assert (buried.canary.lost, buried.granted) == (10, 0)
    assert canary.free(buried, SIZE) == 0
    assert canary.judge(buried, SIZE, LIMITS, RULE, 200.0) == Pass()


def test_where_most_would_be_lost_others_may_try_as_many():
    buried = canary.bury(Health("spring", senders={"dead": Note(3, 0.0, 40)}), 100.0, SIZE)
    assert (buried.canary.lost, canary.free(buried, SIZE)) == (0, 50)


class Sender:
    """Asks for grants, tries what it was granted, tells, and may die with what it did not tell."""

    def __init__(self, name, rng):
        self.name, self.rng = name, rng
        self.holding = self.reports = 0
        self.untold = Tally()

    def ask(self, health, now):
        health = self.tell(health, now)
        health, granted = canary.grant(health, self.name, self.holding, self.rng.randint(1, 20), SIZE, now)
        self.holding += granted
        return health

    def try_some(self, least_known=1.0):
        tried = self.rng.randint(0, self.holding)
        known = self.rng.randint(ceil(least_known * tried), tried)
        self.holding -= tried
        self.untold.add(Tally(accepted=known, tried=tried))
        return tried

    def tell(self, health, now):
        self.reports += 1
        report = Report(self.name, self.reports, now, {"main.gmail": self.untold}, self.holding)
        self.untold = Tally()
        return counting.add(health, report, 60.0)


@given(st.integers(0, 2**32))
def test_whoever_asks_dies_and_comes_anew_no_more_mails_are_tried_than_the_canary_has(seed):
    """Where less than half of it died with its senders; and in the end it passes."""
    rng, health, tried, lost, now = random.Random(seed), Health("spring"), 0, 0, 0.0
    senders = [Sender(f"s{number}", rng) for number in range(3)]
    for number in range(200):
        now += 10.0
        one = rng.choice(senders)
        match rng.randrange(8):
            case 0 if 2 * (lost + one.holding + one.untold.tried) <= SIZE.mails:
                lost += one.holding + one.untold.tried
                senders[senders.index(one)] = Sender(f"n{number}", rng)
            case 1 | 2:
                health = one.ask(health, now)
            case 3 | 4 | 5:
                tried += one.try_some()
            case _:
                for each in senders:
                    health = each.tell(health, now)
                health = canary.bury(health, now - 120.0, SIZE)
        assert tried <= SIZE.mails
        assert health.canary.tried + health.canary.lost + health.granted <= SIZE.mails
    now += 1_000.0
    for _ in range(80):
        for one in senders:
            health = one.ask(health, now)
            tried += one.try_some()
    for one in senders:
        while one.holding:
            tried += one.try_some()
        health = one.tell(health, now)
    health = canary.bury(health, now - 120.0, SIZE)
    assert tried <= SIZE.mails
    assert canary.judge(health, SIZE, LIMITS, RULE, now) == Pass()


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 0.9]))
def test_whatever_is_put_off_no_more_than_twice_the_canary_is_tried(seed, least_known):
    rng, health, tried, now = random.Random(seed), Health("spring"), 0, 0.0
    senders = [Sender(f"s{number}", rng) for number in range(3)]
    for _ in range(100):
        now += 1.0
        one = rng.choice(senders)
        health = one.ask(health, now)
        tried += one.try_some(least_known)
        assert tried <= 2 * SIZE.mails
