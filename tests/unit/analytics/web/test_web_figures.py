"""Shares, estimates and chart steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.reports import FirstAttempts, RatePoint
from analytics.web import figures
from analytics.web.models import CampaignInfo


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
    assert figures.eta_seconds(9_000, 300.0, info()) == 30.0


@pytest.mark.parametrize(
    ("remaining", "rate", "campaign"),
    [
        (0, 300.0, info()),
        (9, 0.0, info()),
        (9, 3.0, info("paused")),
        (9, 3.0, info("finished", 1.0)),
        (9, 3.0, info("planning")),
    ],
)
def test_time_left_is_not_guessed_where_nothing_moves_or_the_end_is_unknown(remaining, rate, campaign):
    assert figures.eta_seconds(remaining, rate, campaign) is None


def test_mails_per_second_count_first_attempts_from_the_start_to_the_last_of_them():
    assert figures.mails_per_second(FirstAttempts(1_000, 12.0, 20.0), started_at=10.0) == 100.0


def test_nothing_attempted_is_no_rate():
    assert figures.mails_per_second(FirstAttempts(0, None, None), started_at=10.0) == 0.0
