"""Which lanes an opening stops, and what is forgotten when a person lets them go on."""

import pytest

from events import breaker
from events.breaker import EVERY_LANE, Health, LaneHealth, Opening, Slice

COUNTED = LaneHealth((Slice(1.0, 90, 5, 5),), accepted=90, complaints=1)
LANES = dict.fromkeys(("main.gmail", "backup.gmail", "backup.yahoo"), COUNTED)


def opened(cause, lane="main.gmail"):
    return breaker.open_lane(Health("spring", LANES), lane, Opening(2.0, cause, 10, 100, 0.05, "10 of 100"))


def stopped_by(health):
    return {lane for lane in LANES if breaker.opening_of(health, lane)}


@pytest.mark.parametrize("cause", ["hard_bounces", "complaints"])
def test_what_is_wrong_with_the_list_stops_the_mailbox_provider_whatever_the_pool(cause):
    assert stopped_by(opened(cause)) == {"main.gmail", "backup.gmail"}


def test_a_block_stops_the_lane_of_the_pool_that_is_blocked():
    assert stopped_by(opened("blocks")) == {"main.gmail"}


def test_a_canary_stops_every_lane():
    assert stopped_by(opened("canary", EVERY_LANE)) == set(LANES)


def test_where_bounces_are_let_go_on_every_pool_counts_anew_for_that_mailbox_provider():
    closed = breaker.close_lane(opened("hard_bounces"), "main.gmail", 3.0)
    assert closed.lanes == {"main.gmail": LaneHealth(openings=1), "backup.gmail": LaneHealth(), "backup.yahoo": COUNTED}


def test_where_a_block_is_let_go_on_only_its_lane_counts_anew():
    closed = breaker.close_lane(opened("blocks"), "main.gmail", 3.0)
    assert closed.lanes == LANES | {"main.gmail": LaneHealth(openings=1)}


def test_letting_bounces_go_on_leaves_what_is_blocked_stopped():
    blocked = breaker.open_lane(
        opened("hard_bounces"), "backup.gmail", Opening(2.0, "blocks", 9, 100, 0.05, "9 of 100")
    )
    assert stopped_by(breaker.close_lane(blocked, "main.gmail", 3.0)) == {"backup.gmail"}
