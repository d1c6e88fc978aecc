import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import warmup
from sender.warmup import plan
from sender.warmup.plan import Tally
from sender.warmup.settings import WarmupSettings

SETTINGS = WarmupSettings(enabled=True)
SMALL = WarmupSettings(enabled=True, first_day_mails=100, growth=2.0, target_mails=1_000)
"""100, 200, 400, 800, 1,000."""
DAY = 20_000


def after(state, settings=SMALL, **counts):
    """The next day, after one that went like this."""
    told = {name: number for name, number in counts.items() if name != "complaints"}
    state = plan.counted(state, Tally(**told), "a", 1 + max(state.reports.values(), default=0))
    if "complaints" in counts:
        state = warmup.complained(state, counts["complaints"], state.complaints_upto + 1)
    return plan.on(state, settings, state.today.number + 1)


def begun(step=1, **fields):
    return msgspec.structs.replace(warmup.fresh("main.gmail", DAY), step=step, **fields)


def test_the_default_plan_reaches_a_million_in_a_month():
    steps = plan.steps(SETTINGS)
    assert steps[:4] == (200, 280, 392, 549)
    assert (steps[-1], len(steps)) == (1_000_000, 32)


def test_a_plan_of_ones_own_goes_on_by_growth_to_the_target():
    own = WarmupSettings(plan=(50, 100, 500), growth=2.0, target_mails=3_000)
    assert plan.steps(own) == (50, 100, 500, 1_000, 2_000, 3_000)


def test_a_good_day_goes_one_step_up():
    state = after(begun(), accepted=100)
    assert (state.step, plan.allowance(state, SMALL, DAY + 1)) == (2, 200)
    assert state.days[-1].verdict == "good"


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"accepted": 79}, "not filled: 79 of 100 mails"),
        ({"accepted": 80, "hard": 20}, "bounces: 20.0% of the addresses do not exist"),
        ({"accepted": 100, "deferred": 100}, "deferred: 50% of the tries were put off"),
        ({"accepted": 100, "complaints": 2}, "complaints: 2.00% called it spam"),
    ],
)
def test_a_day_that_did_not_go_well_or_was_not_used_is_repeated(counts, why):
    state = after(begun(), msgspec.structs.replace(SMALL, back_complaint_rate=0.5), **counts)
    assert (state.step, state.days[-1].verdict) == (1, why)


@pytest.mark.parametrize("counts", [{"accepted": 350, "blocked": 50}, {"accepted": 400, "complaints": 8}])
def test_after_blocks_and_complaints_the_next_day_is_half_as_large(counts):
    state = after(begun(3), **counts)
    assert plan.allowance(state, SMALL, DAY + 1) == 200


def test_on_a_bad_day_sending_ends_at_once():
    state = plan.counted(begun(3), Tally(accepted=60, blocked=20), "a", 1)
    assert plan.allowance(state, SMALL, DAY) == 80
    assert plan.allowance(state, SMALL, DAY + 1) == 200


def test_it_never_goes_back_behind_the_beginning():
    assert after(begun(), accepted=50, blocked=50).step == 1


def test_after_a_good_day_at_the_target_there_is_no_limit_any_more():
    state = after(begun(5), accepted=1_000)
    assert state.done
    assert plan.allowance(state, SMALL, DAY + 1) is None


def test_a_lane_that_is_warm_and_gets_blocked_is_limited_again():
    state = after(begun(5, done=True), accepted=40_000, blocked=10_000)
    assert (state.done, plan.allowance(state, SMALL, DAY + 1)) == (False, 400)


def test_days_without_a_mail_change_nothing():
    state = after(begun(2), accepted=200)
    assert plan.on(state, SMALL, DAY + 20).step == 3
    assert plan.on(state, SMALL, DAY + 20).days == state.days


def test_after_a_month_without_a_mail_it_begins_anew():
    state = after(begun(5, done=True), accepted=1_000)
    assert plan.allowance(state, SMALL, DAY + 31) == 100


def test_a_clock_that_lags_behind_changes_nothing():
    state = begun()
    assert plan.on(state, SMALL, DAY - 1) is state


def test_a_report_counts_once():
    state = plan.counted(begun(), Tally(accepted=5), "a", 1)
    assert plan.counted(state, Tally(accepted=5), "a", 1) is state


def test_complaints_of_today_are_measured_against_the_mails_of_yesterday_too():
    state = after(begun(5), accepted=1_000)
    state = plan.counted(state, Tally(accepted=10), "a", 2)
    assert plan.allowance(warmup.complained(state, 2, 1), SMALL, DAY + 1) is None


counts = st.builds(
    dict,
    accepted=st.integers(0, 2_000),
    hard=st.integers(0, 200),
    blocked=st.integers(0, 200),
    deferred=st.integers(0, 500),
    complaints=st.integers(0, 20),
)


@given(st.lists(counts, max_size=60))
def test_whatever_happens_an_allowance_is_one_of_the_plan_and_never_more_than_a_step_up(days):
    state, before = begun(), 100
    for each in days:
        state = after(state, **each)
        allowed = plan.allowance(state, SMALL, state.today.number)
        assert allowed is None or 1 <= allowed <= 2 * before
        assert allowed is None or allowed in plan.steps(SMALL)
        before = 1_000 if allowed is None else allowed


@given(st.integers(1, 5), st.integers(0, 100), st.integers(0, 100), counts)
def test_how_often_it_is_looked_at_makes_no_difference(step, first, second, each):
    state = after(begun(step), **each)
    day = state.today.number
    at_once = plan.on(state, SMALL, day + first + second)
    assert plan.on(plan.on(state, SMALL, day + first), SMALL, day + first + second) == at_once
    assert warmup.decode(warmup.encode(at_once)) == at_once
