"""How many senders are wanted, and why."""

from math import ceil, inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from scaling_samples import GMAIL, NOW, OTHER, SETTINGS, decided, situation, work

from analytics.scaling.deciding import decide
from analytics.scaling.decision import Limited, State
from analytics.scaling.situation import Limit, Pool
from events.pace import Pace

BACKLOGS = st.fixed_dictionaries({GMAIL: st.floats(1.0, 1e7), OTHER: st.floats(1.0, 1e7)})


def after(seconds, *works, state, settings=SETTINGS, **more):
    return decide(situation(*works, now=NOW + seconds, **more), settings, state)


def test_nothing_to_send_needs_no_sender():
    decision = decided()
    assert (decision.wanted, decision.reason, decision.why) == (0, "idle", "Nothing is to be sent.")


def test_as_many_are_wanted_as_the_settings_ask_for_at_least():
    assert decided(settings=replace(SETTINGS, min_senders=2)).wanted == 2


def test_a_backlog_is_divided_by_what_a_sender_sends_until_the_deadline():
    decision = decided(work(18_000_000, minutes=60), rate=500.0, alive=1)
    assert decision.wanted == 12, "18M in 54 minutes are 11.1 of 500/s, of whom 10 come a minute late"
    assert decision.reason == "deadline"
    assert decision.why == (
        "12 needed: 18,000,000 mails of spring until 2027-01-15 09:00:00 UTC, in 1 h, at 500 mails/s a sender."
    )


def test_a_few_mails_want_one_sender():
    assert decided(work(3)).wanted == 1


def test_a_lane_that_is_shut_keeps_a_sender_that_notices_when_it_opens():
    paused = Limit(pace=Pace(not_before=NOW + 1e6))
    assert decided(work(5_000), limits={"main.other": paused}).wanted == 1


def test_more_senders_than_may_be_are_not_wanted_and_it_is_told_how_late_it_will_be():
    decision = decided(work(36_000_000, minutes=60), rate=500.0, alive=10, settings=replace(SETTINGS, max_senders=10))
    assert (decision.wanted, decision.reason, decision.needed) == (10, "at_max", 23)
    assert decision.late == {"spring": 3_600.0}
    assert decision.why.endswith("No more than 10 may be. spring will be 1 h late.")


def test_a_lane_that_its_provider_limits_is_not_helped_by_senders():
    decision = decided(work(lanes={GMAIL: 1_000_000.0}), alive=1, limits={"main.gmail": Limit(rate=90.0)})
    assert (decision.wanted, decision.reason) == (1, "provider_limited")
    assert decision.limited == (Limited("spring", "main.gmail", 90.0),)
    assert decision.late["spring"] == pytest.approx(1_000_000 / 90 - 3_600)
    assert decision.why == (
        "More senders would not help spring: main.gmail takes 90 mails/s at present, and it will be 2 h 5 min late."
    )


def test_a_limited_lane_does_not_keep_the_others_from_getting_their_senders():
    lanes = {GMAIL: 1_000_000.0, OTHER: 10_000_000.0}
    decision = decided(work(lanes=lanes), rate=500.0, alive=7, limits={"main.gmail": Limit(rate=90.0)})
    assert (decision.wanted, decision.reason) == (7, "provider_limited")


@pytest.mark.parametrize(
    ("campaign", "more", "by", "said"),
    [
        (work(1e6, rate=50.0), {}, "campaign=spring", "its own rate is 50 mails/s"),
        (work(1e6, unrendered=9e5), {"rendering": 20.0}, "producers", "producers render 20 mails/s"),
        (work(1e6), {"limits": {"main": Limit(rate=100.0)}}, "main", "main takes 100 mails/s at present"),
        (work(1e6), {"limits": {"main": Limit(down=True)}}, "main", "main takes none at present"),
        (work(1e6), {"limits": {"main.other": Limit(daily=500)}}, "main.other", "main.other takes no more"),
        (work(1e6), {"limits": {"main.other": Limit(connections=1)}}, "main.other", "main.other takes 100 mails/s"),
    ],
)
def test_what_limits_a_campaign_is_named_and_used_up_by_one_sender(campaign, more, by, said):
    decision = decided(campaign, alive=1, **more)
    assert (decision.wanted, decision.reason, decision.limited[0].by) == (1, "provider_limited", by)
    assert said in decision.why


def test_a_campaign_whose_lane_the_circuit_breaker_stops_is_late_for_good_and_wants_senders_for_the_rest_alone():
    decision = decided(work(1_000, stopped=5e6), alive=1)
    assert (decision.wanted, decision.late_seconds, decision.late) == (1, {"spring": None}, {"spring": inf})
    assert decision.why.endswith("spring will be late until somebody lets its mails go on.")


def test_what_is_late_already_is_to_be_done_soon():
    decision = decided(work(900_000, minutes=-30), rate=500.0, alive=20)
    assert decision.wanted == 20, "900,000 in 90 s"
    assert decision.late["spring"] == pytest.approx(1_800 + 90)


def test_a_limit_that_takes_less_time_than_the_senders_is_not_what_makes_a_campaign_late():
    decision = decided(work(300_000, minutes=-30), rate=500.0, alive=1, limits={"main": Limit(rate=100_000.0)})
    assert (decision.reason, decision.limited) == ("deadline", ())
    assert decision.wanted == 18


def test_retries_need_senders_but_make_nothing_late():
    decision = decided(work(3_000, again=3_000, minutes=-30), alive=1)
    assert (decision.wanted, decision.late) == (1, {})


# campaigns together


def test_campaigns_of_a_class_share_senders_so_the_one_with_little_time_needs_as_many_for_the_other():
    soon = work(1_000_000, campaign="soon", minutes=10)
    alone = decided(soon, rate=500.0, alive=5)
    both = decided(soon, work(9_000_000, campaign="later", minutes=600), rate=500.0, alive=5)
    assert (alone.needed, both.needed) == (4, 8)


def test_an_urgent_campaign_needs_few_more_for_a_normal_one():
    urgent = work(1_000_000, campaign="urgent", minutes=10, priority="urgent")
    assert decided(urgent, work(9_000_000, minutes=600), rate=500.0, alive=5).needed == 4


def test_a_normal_campaign_has_what_urgent_ones_leave():
    normal = work(1_000_000, minutes=10)
    urgent = work(500_000, campaign="urgent", minutes=60, priority="urgent")
    assert decided(normal, urgent, rate=500.0, alive=6).needed == 6


def test_pools_work_side_by_side_so_the_slower_one_decides():
    pools = {"main": Pool(rate=1_000.0), "slow": Pool(rate=10.0)}
    lanes = {OTHER: 3_000_000.0, ("slow", "other"): 100_000.0}
    assert decided(work(lanes=lanes), pools=pools, alive=4).needed == 4


def test_a_scheduled_campaign_has_its_time_from_its_start():
    scheduled = work(2_000_000, deadline=NOW + 60 + 3_600, begins=NOW + 60)
    assert decided(scheduled, rate=500.0).needed == 2, "senders called now are there when it starts"
    assert decided(replace(scheduled, begins=NOW), rate=500.0).needed == 2


# more at once, fewer later


def test_more_are_wanted_at_once_and_fewer_after_a_cooldown():
    _, state = decide(situation(work(18_000_000), rate=500.0, alive=12), SETTINGS, State())
    assert state.wanted == 12
    kept, state = after(10, work(3_000_000), state=state, rate=500.0, alive=12)
    assert (kept.wanted, kept.reason, kept.needed) == (12, "cooldown", 2)
    assert kept.why.endswith("Those beyond are kept until no more were needed for 5 min.")
    more, state = after(20, work(36_000_000), state=state, rate=500.0, alive=12)
    assert more.wanted == more.needed > 12
    kept, state = after(319, work(2_900_000), state=state, rate=500.0, alive=12)
    assert kept.wanted == more.wanted
    fewer, _ = after(321, work(2_900_000), state=state, rate=500.0, alive=12)
    assert (fewer.wanted, fewer.reason) == (2, "deadline")


def test_fewer_are_wanted_in_steps_as_each_need_is_a_cooldown_old():
    state, seen = State(), []
    for seconds in range(0, 900, 20):
        left = max(0.0, 6_000_000 - 20_000 * seconds)
        decision, state = after(
            seconds, *([work(left, deadline=NOW + 1_000)] if left else []), state=state, rate=2_000.0, alive=10
        )
        seen.append(decision.wanted)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0
    assert len(set(seen)) > 3


def test_a_need_that_wavers_around_a_whole_number_calls_no_sender_more():
    _, state = decide(situation(work(2_970_000), rate=500.0, alive=2), SETTINGS, State())
    assert state.wanted == 2
    same, state = after(0, work(3_300_000), state=state, rate=500.0, alive=2)
    assert same.wanted == 2, "2.04 are needed"
    more, _ = after(0, work(3_600_000), state=state, rate=500.0, alive=2)
    assert more.wanted == 3


def test_those_that_were_called_and_are_on_their_way_are_not_called_again():
    wanted, state = [], State()
    for seconds in range(0, 60, 5):
        decision, state = after(seconds, work(18_000_000), state=state, rate=500.0, alive=1)
        wanted.append(decision.wanted)
    assert set(wanted) == {12}


def test_those_that_do_not_come_within_twice_the_time_are_not_counted_on():
    _, state = decide(situation(work(2_000_000, minutes=10), rate=500.0, alive=1), SETTINGS, State())
    trusting, state = after(110, work(2_000_000, minutes=10), state=state, rate=500.0, alive=1)
    assert (trusting.wanted, trusting.late) == (9, {})
    doubting, _ = after(121, work(2_000_000, minutes=10), state=state, rate=500.0, alive=1)
    assert doubting.wanted == 11


def test_the_first_decision_of_a_new_ingester_stops_no_sender_that_works():
    first, state = decide(situation(work(1_000), alive=9), SETTINGS, State())
    assert (first.wanted, first.reason) == (9, "cooldown")
    later, _ = after(301, work(1_000), state=state, alive=9)
    assert later.wanted == 1


# without knowing what a sender does


def queue(mails, *, seconds=0.0, state=None, alive=1, **more):
    return decide(
        situation(
            *([work(mails, **more.pop("work", {}))] if mails else []), rate=None, alive=alive, now=NOW + seconds, **more
        ),
        SETTINGS,
        State() if state is None else state,
    )


def test_a_long_queue_adds_a_sender_each_cooldown_where_nothing_else_is_known():
    first, state = queue(5_000)
    assert (first.wanted, first.reason) == (2, "queue")
    assert "5,000 mails wait" in first.why
    same, state = queue(5_000, seconds=200, state=state, alive=2)
    assert same.wanted == 2
    more, state = queue(5_000, seconds=300, state=state, alive=2)
    assert more.wanted == 3
    waiting, _ = queue(5_000, seconds=601, state=state, alive=2)
    assert waiting.wanted == 3, "the third has not come yet"


def test_a_short_queue_wants_one_sender_and_an_empty_one_none():
    _, state = queue(5_000)
    short, state = queue(900, seconds=301, state=state)
    assert short.wanted == 1
    empty, _ = queue(0, seconds=602, state=state)
    assert (empty.wanted, empty.reason) == (0, "idle")


def test_a_long_queue_before_a_limit_adds_none():
    decision, _ = queue(1_000_000, limits={"main.other": Limit(rate=10.0)})
    assert (decision.wanted, decision.reason) == (1, "provider_limited")


# whatever there is


@given(lanes=BACKLOGS, lane=st.sampled_from([GMAIL, OTHER]), more=st.floats(1.0, 1e7), limit=st.floats(1.0, 5_000.0))
def test_more_mails_never_need_fewer_senders(lanes, lane, more, limit):
    limits = {"main.gmail": Limit(rate=limit)}
    fewer = decided(work(lanes=lanes), limits=limits, rate=300.0)
    assert decided(work(lanes={**lanes, lane: lanes[lane] + more}), limits=limits, rate=300.0).needed >= fewer.needed


@given(lanes=BACKLOGS, minutes=st.floats(-60.0, 600.0), alive=st.integers(0, 80), rate=st.floats(0.1, 10_000.0))
def test_what_is_wanted_stays_between_the_limits_of_the_settings(lanes, minutes, alive, rate):
    settings = replace(SETTINGS, min_senders=2, max_senders=7)
    decision = decided(work(lanes=lanes, minutes=minutes), alive=alive, rate=rate, settings=settings)
    assert 2 <= decision.wanted <= 7


@given(lanes=BACKLOGS, minutes=st.floats(5.0, 600.0), rate=st.floats(10.0, 3_000.0), limit=st.floats(0.1, 1_000.0))
def test_senders_beyond_those_that_use_the_limits_up_are_never_wanted(lanes, minutes, rate, limit):
    limits = {"main.gmail": Limit(rate=limit), "main.other": Limit(rate=limit)}
    enough = ceil(2 * limit / rate)
    assert decided(work(lanes=lanes, minutes=minutes), limits=limits, rate=rate, alive=enough).wanted <= max(1, enough)


@given(lanes=BACKLOGS, others=BACKLOGS, limit=st.floats(0.1, 1_000.0), weight=st.integers(1, 9))
def test_nor_where_several_campaigns_wait_for_the_same_limits(lanes, others, limit, weight):
    limits = {"main.gmail": Limit(rate=limit), "main.other": Limit(rate=limit)}
    enough = ceil(2 * limit / 100.0)
    works = work(lanes=lanes), work(campaign="other", lanes=others, weight=weight)
    assert decided(*works, limits=limits, rate=100.0, alive=enough).wanted <= max(1, enough)


@given(lanes=BACKLOGS, minutes=st.floats(2.0, 600.0))
def test_with_as_many_as_are_needed_nothing_is_late(lanes, minutes):
    settings = replace(SETTINGS, max_senders=1_000_000)
    decision = decided(work(lanes=lanes, minutes=minutes), settings=settings, rate=50.0)
    assume(decision.wanted < 1_000_000)
    assert decision.late == {}
