"""Higher classes go first, campaigns of a class share by weight, and nobody waits for ever."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.schemas import PRIORITIES, Campaign
from sender.lanes import Lane
from sender.turns import HIGHER_TURNS, Turns

NOW = 1_800_000_000.0


def lane(name, priority="normal", weight=1, provider="gmail"):
    campaign = Campaign(name, name, "running", "main", "b@example.com", NOW, priority=priority, weight=weight)
    made = Lane(campaign, provider, None, None)
    made.waiting.append(None)
    return made


def turns(*lanes):
    made = Turns()
    for one in lanes:
        made.add(one)
    return made


def one_turn(order, mails=16):
    chosen = order.choose(lambda lane: bool(lane.waiting))
    chosen.share.charge(mails)
    return chosen


def served(order, number, mails=16):
    """Turns by campaign, of so many."""
    return Counter(one_turn(order, mails).campaign.id for _ in range(number))


def test_campaigns_of_a_class_share_by_weight():
    assert served(turns(lane("three", weight=3), lane("one")), 400) == {"three": 300, "one": 100}


def test_turns_that_have_taken_nothing_yet_are_shared_by_weight_too():
    order = turns(lane("three", weight=3), lane("one"))
    assert Counter(order.choose(lambda _: True).campaign.id for _ in range(8)) == {"three": 6, "one": 2}


def test_a_campaign_gets_no_more_for_having_more_lanes():
    many = [lane("many", provider=provider) for provider in ("gmail", "yahoo", "apple")]
    order = turns(*many, lane("single"))
    chosen = [one_turn(order) for _ in range(60)]
    assert Counter(one.campaign.id for one in chosen) == {"many": 30, "single": 30}
    assert {chosen.count(one) for one in many} == {10}


def test_a_higher_class_goes_first_and_a_lower_one_gets_a_twentieth():
    counted = served(turns(lane("low", "low"), lane("urgent", "urgent"), lane("normal")), 2_000)
    assert counted["urgent"] == pytest.approx(1_800, abs=20)
    assert counted["normal"] == pytest.approx(100, abs=10)
    assert counted["low"] == pytest.approx(100, abs=10)


def test_an_urgent_campaign_is_chosen_at_once():
    order = turns(lane("running"))
    served(order, 1_000)
    order.add(urgent := lane("urgent", "urgent"))
    assert [one_turn(order) for _ in range(HIGHER_TURNS)] == [urgent] * HIGHER_TURNS


def test_a_class_without_mails_is_not_passed_over():
    empty = lane("empty", "low")
    order = turns(lane("urgent", "urgent"), empty)
    empty.waiting.clear()
    served(order, 100)
    empty.waiting.append(None)
    assert one_turn(order).campaign.id == "urgent"


def test_a_lower_class_that_is_not_ready_when_its_turn_comes_holds_up_nobody():
    shut, urgent = lane("shut", "low"), lane("urgent", "urgent")
    order = turns(shut, urgent)
    assert {order.choose(lambda one: one is urgent) for _ in range(100)} == {urgent}


def test_a_campaign_that_was_away_neither_saved_up_turns_nor_owes_any():
    order = turns(lane("steady"))
    served(order, 100)
    order.add(lane("other"))
    assert served(order, 20) == {"steady": 10, "other": 10}


def test_a_campaign_that_changes_its_class_begins_there_like_a_new_one():
    moved = lane("moved")
    order = turns(moved, lane("other", "urgent"))
    served(order, 3_000)
    moved.becomes(lane("moved", "urgent").campaign)
    assert served(order, 20) == {"moved": 10, "other": 10}


def test_a_change_of_weight_counts_from_the_next_turn():
    heavier = lane("heavier")
    order = turns(heavier, lane("other"))
    served(order, 100)
    heavier.becomes(lane("heavier", weight=3).campaign)
    assert served(order, 40) == {"heavier": 30, "other": 10}


def test_what_is_removed_gets_no_turn():
    one, other = lane("c"), lane("c", provider="yahoo")
    order = turns(one, other)
    order.remove(one)
    assert one_turn(order) is other
    order.remove(other)
    assert order.choose(lambda _: True) is None


@given(
    st.lists(st.tuples(st.sampled_from(PRIORITIES), st.integers(1, 20)), min_size=1, max_size=8),
    st.lists(st.integers(1, 16), min_size=1, max_size=8),
)
def test_nobody_who_has_mails_waits_for_ever_and_equals_share_by_weight(campaigns, sizes):
    """However many mails a turn takes: what equals have had, by weight, differs by no more than one turn."""
    every = [lane(f"c{number}", *one) for number, one in enumerate(campaigns)]
    order, waits = turns(*every), Counter()
    most = Counter()
    for number in range(500):
        chosen = one_turn(order, sizes[number % len(sizes)])
        for one in every:
            waits[one] = 0 if one is chosen else waits[one] + 1
            most[one] = max(most[one], waits[one])
    for priority in PRIORITIES:
        times = [one.share.served for one in every if one.campaign.priority == priority]
        assert max(times, default=0) - min(times, default=0) <= max(sizes)
    weights = sum(weight for _, weight in campaigns)
    assert max(most.values()) <= (HIGHER_TURNS + 1) * max(sizes) * weights * len(every)


def test_a_class_whose_mails_may_not_go_does_not_keep_a_lower_one_waiting():
    paused = lane("paused")
    order = turns(lane("low", "low"), lane("urgent", "urgent"), paused)
    chosen = Counter(order.choose(lambda lane: lane is not paused).campaign.id for _ in range(400))
    assert chosen["low"] == pytest.approx(20, abs=2)
