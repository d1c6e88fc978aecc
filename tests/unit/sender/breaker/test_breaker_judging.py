import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import breaker
from events.breaker import LaneHealth, Slice
from events.schemas import BreakerLimits, Campaign
from sender.breaker import counting, judging
from sender.breaker.counting import Report, Tally
from sender.breaker.judging import ALWAYS, Limits
from sender.breaker.settings import BreakerSettings

LIMITS = Limits(0.05, 0.05, 0.003, 100, 3_600.0)
SETTINGS = BreakerSettings()
CAMPAIGN = Campaign("spring", "Spring", "running", "main", "b@example.com", 0.0)
counts = st.integers(0, 5_000)


def lane(*slices, **fields):
    return LaneHealth(tuple(Slice(float(at), *numbers) for at, numbers in enumerate(slices)), **fields)


def test_a_lane_that_does_well_goes_on():
    assert judging.judge(lane((10_000, 200, 10), accepted=10_000, complaints=9), LIMITS, 5.0) is None


@pytest.mark.parametrize(
    ("slices", "cause"),
    [([(900, 100, 0)], "hard_bounces"), ([(900, 0, 100)], "blocks"), ([(900, 100, 100)], "blocks")],
)
def test_a_lane_is_stopped_for_the_worst_that_is_wrong_with_it(slices, cause):
    opening = judging.judge(lane(*slices), LIMITS, 5.0)
    assert (opening.cause, opening.bad, opening.at) == (cause, 100, 5.0)


def test_the_reason_says_what_happened_and_what_is_allowed():
    reason = judging.judge(lane((900, 0, 100)), LIMITS, 5.0).reason
    assert reason == "100 of 1,000 mails (10.00%) were refused for policy or reputation; allowed are 5.00%"


def test_a_spike_stops_a_lane_however_well_it_did_before():
    assert judging.judge(lane((1_000_000, 0, 0), (60, 0, 60)), LIMITS, 5.0).mails == 120


def test_a_little_too_much_stops_a_lane_in_the_long_run_only():
    assert judging.judge(lane((940, 60, 0)), LIMITS, 5.0) is None
    assert judging.judge(lane(*[(940, 60, 0)] * 30), LIMITS, 5.0) is not None


def test_few_mails_are_not_judged():
    assert judging.judge(lane((0, 0, 99)), LIMITS, 5.0) is None


def test_complaints_are_measured_against_all_that_were_accepted():
    assert judging.judge(lane(accepted=10_000, complaints=40), LIMITS, 5.0) is None
    assert judging.judge(lane(accepted=10_000, complaints=60), LIMITS, 5.0).cause == "complaints"


def test_mails_that_came_back_are_measured_like_those_that_bounced():
    assert judging.judge(lane(accepted=10_000, returned=500), LIMITS, 5.0) is None
    assert judging.judge(lane(accepted=10_000, returned=900), LIMITS, 5.0).cause == "hard_bounces"


def test_a_lane_that_is_stopped_is_not_judged_again():
    stopped = lane((0, 0, 500), opening=judging.opening("blocks", 5, 50, 0.05, 1.0))
    assert judging.judge(stopped, LIMITS, 5.0) is None


def test_complaints_of_which_nobody_knows_the_lane_are_measured_against_the_campaign():
    health = breaker.Health("spring", {"main.gmail": lane(accepted=5_000), "main.other": lane(accepted=5_000)})
    health = breaker.complained(health, {breaker.EVERY_LANE: 60}, 7)
    judged = {name: judging.judge(state, LIMITS, 5.0) for name, state in judging.candidates(health)}
    assert judged[breaker.EVERY_LANE].mails == 10_000
    assert judged["main.gmail"] is None


def test_complaints_and_returned_mails_are_measured_against_what_went_through_any_pool():
    health = breaker.Health(
        "spring", {"main.gmail": lane(complaints=9, returned=9), "backup.gmail": lane(accepted=5_000)}
    )
    judged = dict(judging.candidates(health))
    assert judged["main.gmail"].accepted == 5_000
    assert judging.judge(judged["main.gmail"], LIMITS, 5.0) is None


@given(st.integers(0, 200), st.integers(1, 2_000), st.floats(0.001, 0.5))
def test_one_bad_mail_more_never_makes_it_look_better(bad, mails, limit):
    if judging.is_beyond(bad, mails, limit, ALWAYS):
        assert judging.is_beyond(bad + 1, mails, limit, ALWAYS)
        assert bad > limit * mails


@given(st.integers(0, 10_000))
def test_nothing_bad_is_never_too_much(mails):
    assert not judging.is_beyond(0, mails, 0.0, ALWAYS)


def test_chance_does_not_stop_a_long_campaign_below_its_limit():
    """200,000 mails with 3 % hard bounces, looked at 400 times."""
    rng, health = random.Random(5), breaker.Health("spring")
    for second in range(400):
        hard = sum(rng.random() < 0.03 for _ in range(500))
        report = Report("a", second + 1, float(second), {"main.gmail": Tally(500 - hard, hard)})
        health = counting.add(health, report, LIMITS.window_seconds)
        assert judging.judge(health.lanes["main.gmail"], LIMITS, float(second)) is None


def test_the_file_of_a_campaign_overrides_single_limits():
    own = msgspec.structs.replace(CAMPAIGN, breaker=BreakerLimits(hard_bounce_rate=0.1, minimum_mails=10))
    limits = judging.limits_of(own, SETTINGS)
    assert limits == Limits(0.1, SETTINGS.block_rate, SETTINGS.complaint_rate, 10, SETTINGS.window_seconds)


@pytest.mark.parametrize(
    ("campaign", "settings"),
    [
        (msgspec.structs.replace(CAMPAIGN, breaker=BreakerLimits(enabled=False)), SETTINGS),
        (CAMPAIGN, BreakerSettings(enabled=False)),
    ],
)
def test_a_breaker_that_is_off_judges_nothing(campaign, settings):
    limits = judging.limits_of(campaign, settings)
    assert limits.judges_nothing
    assert judging.judge(lane((0, 5_000, 5_000), accepted=1, complaints=999), limits, 1.0) is None


def test_a_canary_has_limits_also_where_the_breaker_is_off():
    off = msgspec.structs.replace(CAMPAIGN, breaker=BreakerLimits(enabled=False, hard_bounce_rate=0.2))
    assert judging.limits_of(off, SETTINGS, always=True).hard_bounces == 0.2
