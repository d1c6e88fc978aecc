"""From what the bus tells to a situation: whose mails, through which lanes, until when, and what limits them."""

import pytest
from msgspec.structs import replace
from scaling_samples import NOW, SETTINGS

from analytics.queues import Queues
from analytics.scaling import gathering, memory
from analytics.scaling.memory import KnownPool, Memory
from analytics.scaling.seen import Seen, Shared, Tried
from analytics.scaling.situation import Limit
from events.breaker import EVERY_LANE, Canary, Health, LaneHealth, Opening
from events.bus import Storage
from events.fleet import Beat, Bounds, Line
from events.pace import Pace
from events.schemas import Campaign, CanaryRule

CAMPAIGN = Campaign("spring", "Spring", "running", "main", "b@example.com", NOW - 600.0)
TODAY = int(NOW // 86_400)
OPENING = Opening(NOW, "blocks", 9, 10, 0.1, "too many")


def queues(due=(), *, waiting=0, batches=None, used=0):
    return Queues(
        due={("main", provider, campaign): count for campaign, provider, count in due},
        waiting=waiting,
        batches=batches or {},
        given_up={},
        ingested=0,
        last_event=0,
        storage=Storage(used, 100),
    )


def seen(*campaigns, now=NOW, queued=0, **more):
    held = more.pop("queues", None) or queues(
        **{name: more.pop(name) for name in ("due", "waiting", "batches", "used") if name in more}
    )
    return Seen(now=now, campaigns=campaigns or (CAMPAIGN,), queues=held, queued=queued, **more)


def gathered(*campaigns, known=None, **more):
    return gathering.situation(seen(*campaigns, **more), Memory() if known is None else known, SETTINGS)


def work(*campaigns, **more):
    (found,) = gathered(*campaigns, **more).works
    return found


# until when


def test_a_campaign_is_to_be_done_an_hour_after_it_began():
    assert work().deadline == CAMPAIGN.created_at + 3_600.0


def test_one_that_has_a_deadline_until_then():
    assert work(replace(CAMPAIGN, deadline=NOW + 10.0)).deadline == NOW + 10.0


def test_one_with_a_start_has_its_hour_from_there_and_counts_before_so_that_senders_are_there_in_time():
    scheduled = replace(CAMPAIGN, starts_at=NOW + 89.0)
    found = work(scheduled)
    assert (found.begins, found.deadline) == (NOW + 89.0, NOW + 89.0 + 3_600.0)
    assert gathered(replace(CAMPAIGN, starts_at=NOW + 91.0)).works == ()
    started = work(replace(scheduled, started_at=NOW - 5.0))
    assert (started.begins, started.deadline) == (0.0, NOW - 5.0 + 3_600.0)


def test_one_that_goes_on_after_a_pause_has_its_hour_anew():
    paused, later = replace(CAMPAIGN, status="paused"), NOW + 7_200.0
    assert gathered(paused, due=[("spring", "gmail", 5)]).works == ()
    known = memory.remember(Memory(), seen(paused))
    known = memory.remember(known, seen(CAMPAIGN, now=later))
    assert work(now=later, known=known).deadline == later + 3_600.0
    known = memory.remember(known, seen(CAMPAIGN, now=later + 60.0))
    assert work(now=later + 60.0, known=known).deadline == later + 3_600.0


def test_so_has_one_that_is_opened_again():
    finished = replace(CAMPAIGN, status="finished", finished_at=NOW)
    known = memory.remember(Memory(), seen(finished))
    again = replace(CAMPAIGN, reopened=1)
    known = memory.remember(known, seen(again, now=NOW + 86_400.0))
    assert work(again, now=NOW + 86_400.0, known=known).deadline == NOW + 90_000.0


@pytest.mark.parametrize("status", ["paused", "cancelled", "finished"])
def test_what_is_not_sent_needs_nobody(status):
    assert gathered(replace(CAMPAIGN, status=status), due=[("spring", "gmail", 5)]).works == ()


# what is left


def test_what_is_due_waits_and_is_to_be_rendered_is_left():
    planned = replace(CAMPAIGN, planned=5_000)
    found = work(planned, due=[("spring", "gmail", 300), ("spring", "yahoo", 100)], waiting=40, batches={"spring": 1})
    assert found.mails == 400 + 40 + 4_600
    assert found.unrendered == 4_600
    assert found.lanes["main", "gmail"] == pytest.approx(found.mails * 3 / 4)


def test_batches_are_full_as_long_as_the_audience_is_being_read():
    planning = replace(CAMPAIGN, status="planning")
    assert work(planning, batches={"spring": 3}).lanes == {("main", "other"): 150_000.0}


def test_retries_count_as_tried_and_other_mails_do_not():
    found = work(due=[("spring", "gmail", 300)], waiting=50)
    assert (found.mails, found.again) == (350, 50)
    counted = work(due=[("spring", "gmail", 300)], waiting=50, tried={"spring": Tried(100, 250)})
    assert counted.again == 250, "of those that are due 200 were tried before"


def test_retries_are_whose_clickhouse_says_they_are_and_else_shared_by_what_is_due():
    other = replace(CAMPAIGN, id="summer")
    due = [("spring", "gmail", 300), ("summer", "gmail", 100)]
    spring, summer = gathered(CAMPAIGN, other, due=due, waiting=40).works
    assert (spring.mails, summer.mails) == pytest.approx((330, 110))
    tried = {"spring": Tried(300, 0), "summer": Tried(0, 40)}
    spring, summer = gathered(CAMPAIGN, other, due=due, waiting=40, tried=tried).works
    assert (spring.mails, summer.mails) == (300, 140)


def test_retries_alone_want_a_sender_until_the_campaign_should_be_done():
    assert work(waiting=40).mails == 40
    assert work(replace(CAMPAIGN, created_at=NOW - 3_601.0), waiting=40).mails == 0


# through which lanes


def test_a_pool_that_cannot_be_reached_leaves_its_mails_to_the_next_of_the_route():
    routed = replace(CAMPAIGN, routes={"gmail": ("main", "spare")})
    known = Memory(pools={"main": KnownPool(down=True), "spare": KnownPool()})
    found = work(routed, due=[("spring", "gmail", 5), ("spring", "yahoo", 7)], known=known)
    assert found.lanes == {("spare", "gmail"): 5, ("main", "yahoo"): 7}


def test_so_does_one_whose_mails_of_the_day_are_used_up():
    routed = replace(CAMPAIGN, routes={"gmail": ("main", "spare"), "yahoo": ("main", "spare")})
    known = Memory(pools={"main": KnownPool(lanes={"gmail": Bounds(daily=100)}), "spare": KnownPool()})
    used = {"main.gmail": Shared(day=TODAY, used=100), "main.yahoo": Shared(day=TODAY, used=100)}
    found = work(routed, due=[("spring", "gmail", 5), ("spring", "yahoo", 7)], known=known, shared=used)
    assert found.lanes == {("spare", "gmail"): 5, ("main", "yahoo"): 7}


def test_mails_of_a_lane_that_the_circuit_breaker_stops_are_no_work():
    health = Health("spring", lanes={"main.gmail": LaneHealth(opening=OPENING)})
    found = work(due=[("spring", "gmail", 5), ("spring", "yahoo", 7)], healths={"spring": health})
    assert (found.lanes, found.stopped) == ({("main", "yahoo"): 7}, 5)
    whole = work(due=[("spring", "gmail", 5)], healths={"spring": Health("spring", opening=OPENING)})
    assert (whole.lanes, whole.stopped) == ({}, 5)
    assert EVERY_LANE == ""


def test_a_campaign_that_waits_for_its_canary_is_no_more_than_that():
    canary = replace(CAMPAIGN, canary=CanaryRule(share=0.001, minimum=50), planned=100_000)
    assert work(canary, due=[("spring", "gmail", 100_000)]).mails == pytest.approx(100)
    passed = {"spring": Health("spring", canary=Canary(passed_at=NOW))}
    assert work(canary, due=[("spring", "gmail", 100_000)], healths=passed).mails == 100_000


# what limits it


def test_what_is_configured_what_was_learned_and_what_is_allowed_today_limit_a_lane():
    known = Memory(
        pools={"main": KnownPool(bounds=Bounds(connections=9), lanes={"gmail": Bounds(rate=90.0, daily=5_000)})}
    )
    pace = Pace(rate=20.0, peak=80.0, decreased_at=NOW)
    shared = {"main.gmail": Shared(pace, TODAY, 700, allowance=2_000), "main.yahoo": Shared(day=TODAY - 1, used=9)}
    assert gathered(known=known, shared=shared).limits == {
        "main": Limit(connections=9),
        "main.gmail": Limit(rate=90.0, pace=pace, daily=2_000, used=700),
        "main.yahoo": Limit(),
    }


# what senders are like


def beats(*lines, now=NOW):
    return [Beat(f"s{number}", now + number, {"main": line}) for number, line in enumerate(lines)]


def test_a_sender_sends_what_they_measured_on_average():
    known = memory.remember(Memory(), seen(beats=beats(Line(20, 400.0), Line(20, 200.0), Line(20))))
    found = gathered(known=known, beats=beats(Line(20), Line(20), Line(20)))
    assert (found.alive, found.pools["main"].rate, found.pools["main"].measured) == (3, 300.0, True)
    assert found.pools["main"].session_rate == 15.0


def test_what_they_measured_and_were_told_is_known_when_there_are_none_any_more():
    line = Line(20, 400.0, bounds=Bounds(rate=90.0))
    known = memory.remember(Memory(), seen(beats=beats(line)))
    known = memory.remember(known, seen(beats=[]))
    found = gathered(known=known)
    assert (found.alive, found.pools["main"].rate, found.limits["main"].rate) == (0, 400.0, 90.0)


def test_before_any_was_measured_the_setting_counts_and_without_it_nothing_is_known():
    assert gathered(due=[("spring", "gmail", 5)]).pools["main"].rate == 2_000.0
    unknown = replace(SETTINGS, sender_mails_per_second=0.0)
    found = gathering.situation(seen(due=[("spring", "gmail", 5)]), Memory(), unknown)
    assert found.pools["main"].rate is None


def test_a_pool_is_down_where_no_sender_can_connect():
    one = memory.remember(Memory(), seen(beats=beats(Line(20, down=True), Line(20))))
    assert not one.pools["main"].down
    every = memory.remember(Memory(), seen(beats=beats(Line(20, down=True), Line(20, down=True))))
    assert gathered(known=every).limits["main"].down


def test_a_relay_that_takes_no_more_from_more_senders_is_a_limit():
    known = Memory()
    for seconds in range(0, 240, 5):
        number = 2 if seconds < 60 else 4
        lines = [Line(20, 1_000.0 / number, full=True)] * number
        known = memory.remember(known, seen(now=NOW + seconds, beats=beats(*lines, now=NOW + seconds)))
    found = gathered(known=known, beats=beats(*[Line(20)] * 4))
    assert found.limits["main"] == Limit(rate=pytest.approx(1_000.0))
    assert found.pools["main"].rate == pytest.approx(500.0)


def test_senders_that_wait_for_mails_show_no_limit():
    known = Memory()
    for seconds in range(0, 240, 5):
        lines = [Line(20, 500.0)] * (2 if seconds < 60 else 4)
        known = memory.remember(known, seen(now=NOW + seconds, beats=beats(*lines, now=NOW + seconds)))
    assert gathered(known=known).limits["main"] == Limit()


# what producers get through


def rendering(*looks):
    known = Memory()
    for seconds, queued, more in looks:
        known = memory.remember(known, seen(now=NOW + seconds, queued=queued, **{"batches": {"spring": 2}, **more}))
    return None if known.rendering is None else known.rendering.rate


def test_producers_are_measured_while_they_have_work_all_the_time():
    assert rendering((0, 0, {}), (30, 9_000, {})) is None
    assert rendering((0, 0, {}), (30, 9_000, {}), (60, 12_000, {})) == 200.0
    assert rendering((0, 0, {}), (60, 12_000, {}), (90, 20_000, {})) == 200.0
    assert rendering((0, 0, {}), (60, 12_000, {}), (120, 24_600, {})) == 210.0
    assert rendering((0, 0, {}), (60, 12_000, {}), (61, 12_000, {"batches": {}})) is None


def test_producers_that_wait_for_room_are_not_what_limits():
    assert rendering((0, 0, {}), (60, 0, {"used": 90})) is None


def test_batches_of_a_paused_campaign_wait_for_nobody():
    assert rendering((0, 0, {}), (60, 0, {"batches": {"other": 3}})) is None
