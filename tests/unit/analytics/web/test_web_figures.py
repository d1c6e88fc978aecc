"""Shares, estimates and chart steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.reports import FirstAttempts, RatePoint
from analytics.web import figures
from analytics.web.models import CampaignInfo, LaneDepth, Progress
from events.ledger import Ledger
from events.schemas import Campaign


def info(status="running", finished_at=None):
    return CampaignInfo(id="c", name="C", status=status, pool="p", finished_at=finished_at)


@given(st.floats(0, 86_400 * figures.CHART_POINTS))
def test_a_chart_never_has_more_than_its_points_and_no_coarser_step_than_it_needs(duration):
    step = figures.step_for(duration)
    assert duration / step <= figures.CHART_POINTS
    finer = [candidate for candidate in figures.STEPS_SECONDS if candidate < step]
    assert all(duration / candidate > figures.CHART_POINTS for candidate in finer)


def test_a_chart_ends_with_the_last_step_that_is_counted_to_its_end():
    points = [RatePoint(float(at), 1, 0, 0, 0, 0) for at in range(0, 50, 10)]
    assert [point.at for point in figures.complete(points, 10, now=42.0, ended_at=None)] == [0, 10, 20, 30]


def test_the_chart_of_a_finished_campaign_is_shown_to_its_end():
    points = [RatePoint(float(at), 1, 0, 0, 0, 0) for at in range(0, 50, 10)]
    assert [point.at for point in figures.complete(points, 10, now=900.0, ended_at=31.0)] == [0, 10, 20, 30]


def test_time_left_is_what_remains_by_the_rate():
    assert figures.eta_seconds(8_000, 1_000, 300.0, info()) == 30.0


@pytest.mark.parametrize(
    ("queued", "retrying", "rate", "campaign"),
    [
        (0, 0, 300.0, info()),
        (0, 40, 300.0, info()),  # which go when their time comes
        (9, 0, 0.0, info()),
        (9, 0, 3.0, info("paused")),
        (9, 0, 3.0, info("finished", 1.0)),
        (9, 0, 3.0, info("planning")),
    ],
)
def test_time_left_is_not_guessed_where_nothing_moves_or_the_end_is_unknown(queued, retrying, rate, campaign):
    assert figures.eta_seconds(queued, retrying, rate, campaign) is None


def depth(waiting, held="", until=None):
    return LaneDepth(pool="p", provider="gmail", held=held, held_until=until, waiting=waiting, in_flight=0)


@pytest.mark.parametrize(
    ("lanes", "told"),
    [
        ([depth(9), depth(0, "stopped")], ("", None, 30.0)),
        ([depth(9), depth(1, "paused", 50.0), depth(1, "paused", 70.0)], ("paused", 70.0, None)),
        ([depth(1, "paused", 50.0), depth(1, "stopped")], ("stopped", None, None)),
    ],
)
def test_no_time_is_told_while_mails_wait_in_lanes_that_do_not_go(lanes, told):
    made = Progress(ledger=Ledger(), balanced=False, consistent=True, share_settled=0.0, rate=1.0, eta_seconds=30.0)
    found = figures.held_up(made, lanes)
    assert (found.held, found.held_until, found.eta_seconds) == told


def test_all_pools_of_a_campaign_are_told_the_preferred_ones_first():
    routes = {"gmail": ("warm", "main"), "other": ("cheap",)}
    campaign = Campaign(
        id="c", name="C", status="running", pool="main", return_path="b@example.com", created_at=0.0, routes=routes
    )
    found = figures.info_of(campaign)
    assert found.pools == ["warm", "main", "cheap"]
    assert (found.pools_for("gmail"), found.pools_for("yahoo")) == (("warm", "main"), ("main",))


def test_mails_per_second_count_first_attempts_from_the_start_to_the_last_of_them():
    assert figures.mails_per_second(FirstAttempts(1_000, 12.0, 20.0), started_at=10.0) == 100.0


def test_nothing_attempted_is_no_rate():
    assert figures.mails_per_second(FirstAttempts(0, None, None), started_at=10.0) == 0.0
