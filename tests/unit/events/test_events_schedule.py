"""A scheduled campaign starts on time, or a person decides; nothing of it is sent silently late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import campaigns, schedule
from events.schedule import PAST_DUE, WrongMoment
from events.schemas import Campaign

START = 1_800_000_000.0
HOUR = 3_600.0


def campaign(status="running", **more):
    settings = {"starts_at": START, **more}
    return Campaign("spring", "Spring", status, "relay", "b@x.example", START - HOUR, **settings)


@pytest.mark.parametrize("status", ["planning", "running"])
def test_nothing_happens_before_the_start(status):
    assert schedule.begin(campaign(status), START - 0.001) == campaign(status)


@pytest.mark.parametrize("late", [0.0, 0.5, HOUR])
@pytest.mark.parametrize("status", ["planning", "running"])
def test_it_starts_within_the_grace(status, late):
    begun = schedule.begin(campaign(status), START + late)
    assert (begun.status, begun.started_at, begun.is_scheduled) == (status, START + late, False)


def test_later_than_the_grace_it_is_paused_and_says_what_to_do():
    missed = schedule.begin(campaign("planning"), START + HOUR + 1_200)
    assert (missed.status, missed.pause_reason, missed.started_at) == ("paused", PAST_DUE, None)
    assert "at 2027-01-15 08:00:00 UTC by 1 h 20 min" in missed.pause_note
    assert "jetpost resume spring" in missed.pause_note


def test_later_than_the_grace_it_is_sent_where_the_campaign_says_so():
    assert schedule.begin(campaign(past_due="send"), START + 9 * HOUR).started_at == START + 9 * HOUR


@pytest.mark.parametrize("status", ["paused", "cancelled", "finished"])
def test_a_campaign_that_is_paused_or_over_is_left_alone(status):
    assert schedule.begin(campaign(status), START + 9 * HOUR) == campaign(status)


def test_one_that_started_or_never_had_a_start_is_left_alone():
    for one in (campaign(started_at=START), campaign(starts_at=None)):
        assert schedule.begin(one, START + 9 * HOUR) == one


def test_resuming_what_missed_its_start_starts_it():
    missed = schedule.begin(campaign("planning"), START + 2 * HOUR)
    resumed = campaigns.resume(missed, START + 3 * HOUR)
    assert (resumed.status, resumed.started_at, resumed.pause_reason) == ("planning", START + 3 * HOUR, "")


def test_resuming_before_the_start_leaves_it_scheduled():
    resumed = campaigns.resume(campaigns.pause(campaign()), START - 1)
    assert resumed == campaign()


def test_resuming_what_was_paused_over_its_start_starts_it():
    assert campaigns.resume(campaigns.pause(campaign()), START + 9 * HOUR).started_at == START + 9 * HOUR


def test_a_missed_start_is_forgotten_with_a_new_one():
    missed = schedule.begin(campaign("planning"), START + 2 * HOUR)
    moved = schedule.reschedule(missed, START + 5 * HOUR, START + 3 * HOUR)
    assert moved == campaign("planning", starts_at=START + 5 * HOUR)


def test_rescheduling_or_starting_leaves_the_pause_of_a_person():
    paused = campaigns.pause(campaign())
    assert schedule.reschedule(paused, START + HOUR, START).status == "paused"
    begun = schedule.start_now(paused, START - HOUR)
    assert (begun.status, begun.started_at) == ("paused", START - HOUR)


def test_it_can_start_before_its_time():
    begun = schedule.start_now(campaign(), START - HOUR)
    assert (begun.started_at, begun.starts_at, begun.status) == (START - HOUR, START, "running")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"status": "finished"}, "finished"),
        ({"status": "cancelled"}, "cancelled"),
        ({"started_at": START}, "started at 2027-01-15 08:00:00 UTC"),
        ({"starts_at": None}, "has no start"),
    ],
)
def test_what_has_started_or_ended_is_not_rescheduled(more, said):
    for change in (lambda one: schedule.reschedule(one, START + 9, START), lambda one: schedule.start_now(one, START)):
        with pytest.raises(campaigns.WrongStatus, match=said):
            change(campaign(**more))


def test_a_start_lies_in_the_future_and_before_the_deadline():
    with pytest.raises(WrongMoment, match="has passed"):
        schedule.reschedule(campaign(), START - 1, START)
    with pytest.raises(WrongMoment, match="deadline"):
        schedule.reschedule(campaign(deadline=START + 9), START + 9, START)


@given(
    st.sampled_from(["planning", "running", "paused", "cancelled", "finished"]),
    st.integers(-1_000_000, 1_000_000),
    st.integers(0, 100_000),
    st.sampled_from(["hold", "send"]),
)
def test_whoever_comes_second_finds_nothing_to_decide(status, late, grace, past_due):
    once = schedule.begin(campaign(status, grace_seconds=grace, past_due=past_due), START + late)
    assert schedule.begin(once, START + late) == once
    if once.started_at is not None:
        assert late >= 0
        assert late <= grace or past_due == "send"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h"), (86_400, "1 d")],
)
def test_durations_are_said_in_their_two_largest_units(seconds, said):
    assert schedule.duration(seconds) == said
