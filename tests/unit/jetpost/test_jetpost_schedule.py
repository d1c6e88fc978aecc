"""What `jetpost status` says of a campaign's start, its pause and its priority."""

import re

import pytest

from events import campaigns, schedule
from events.schemas import Campaign
from jetpost.cli.schedule import moment, standing, when
from jetpost.errors import Fault

NOW = 1_800_000_000.0


def campaign(status="running", **more):
    return Campaign("spring", "Spring", status, "main", "b@x.example", NOW, **more)


def test_of_a_campaign_like_any_other_there_is_nothing_to_say():
    assert standing(campaign(), NOW) == ""
    assert standing(campaign(starts_at=NOW - 9, started_at=NOW - 9), NOW) == ""
    assert standing(campaign("finished", priority="urgent"), NOW) == ""


def test_a_start_is_told_with_how_far_it_is():
    assert re.search(
        r"It starts at 2027-01-1\d \d\d:\d\d:\d\d [+-]\d{4}, in 1 h 30 min\.",
        standing(campaign(starts_at=NOW + 5_400), NOW),
    )


def test_a_start_that_no_sender_was_there_for_yet_is_told_as_past():
    assert when(NOW - 60, NOW).endswith("1 min ago")


def test_why_the_system_paused_it_stands_in_place_of_the_start():
    missed = schedule.begin(campaign(starts_at=NOW - 9_000), NOW)
    assert "It missed its start" in standing(missed, NOW)
    assert "It starts" not in standing(missed, NOW)
    assert "missed" not in standing(campaigns.resume(missed, NOW), NOW)


def test_priority_and_weight_are_told_where_they_are_unusual():
    assert standing(campaign(priority="low"), NOW) == "Its priority is low."
    assert standing(campaign(weight=3), NOW) == "Its priority is normal, with weight 3."


def test_what_is_no_moment_is_one_clear_line():
    assert moment("2h", NOW) == NOW + 7_200
    with pytest.raises(Fault, match="in which zone"):
        moment("2027-03-01T09:00", NOW)
