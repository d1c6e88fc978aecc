from hypothesis import given
from hypothesis import strategies as st

from events import breaker
from events.breaker import Canary, Health, Note
from sender.breaker import counting
from sender.breaker.counting import Report, Tally

LANE = "main.gmail"
numbers = st.integers(0, 1_000)
tallies = st.builds(Tally, numbers, numbers, numbers, numbers, numbers)


def report(number=1, sender="a", at=10.0, holding=None, **counts):
    return Report(sender, number, at, {LANE: Tally(**counts)}, holding)


def mails(health):
    return sum(part.mails for part in health.lanes[LANE].slices)


@given(tallies)
def test_a_report_counts_once_however_often_it_is_brought(tally):
    told = Report("a", 1, 10.0, {LANE: tally}, 3)
    once = counting.add(Health("spring"), told, 60.0)
    assert counting.add(once, told, 60.0) == once
    assert counting.is_counted(once, told)


@given(st.lists(tallies, max_size=80))
def test_however_many_reports_there_are_every_mail_of_the_window_is_counted_in_few_slices(told):
    health = Health("spring")
    for number, tally in enumerate(told):
        health = counting.add(health, Report("a", number + 1, float(number), {LANE: tally}), 3_600.0)
    expected = sum(tally.accepted + tally.hard + tally.blocked for tally in told)
    slices = health.lanes[LANE].slices if LANE in health.lanes else ()
    assert sum(part.mails for part in slices) == expected
    assert len(slices) <= 32
    assert [part.start for part in slices] == sorted(part.start for part in slices)


def test_what_is_older_than_the_window_is_forgotten_but_for_complaints():
    health = counting.add(Health("spring"), report(1, at=0.0, accepted=100), 60.0)
    health = counting.add(health, report(2, at=100.0, accepted=7), 60.0)
    assert mails(health) == 7
    assert health.lanes[LANE].accepted == 107


def test_what_comes_from_a_lane_that_is_stopped_changes_nothing_there():
    stopped = breaker.open_lane(Health("spring"), LANE, breaker.Opening(1.0, "blocks", 5, 50, 0.05, "5 of 50"))
    assert counting.add(stopped, report(accepted=100), 60.0).lanes == stopped.lanes


def test_a_canary_counts_what_is_known_of_its_mails_and_what_their_senders_hold():
    health = counting.add(Health("spring"), report(holding=4, accepted=5, other=1, tried=8), 60.0)
    assert health.canary == Canary(tried=8, accepted=5, other=1)
    assert health.granted == 4


def test_a_canary_that_passed_is_not_counted_any_more():
    passed = Health("spring", canary=Canary(passed_at=1.0))
    assert counting.add(passed, report(accepted=5, tried=5), 60.0).canary == passed.canary


def test_senders_that_are_gone_are_forgotten_unless_they_hold_something():
    health = Health("spring", senders={"gone": Note(9, 0.0), "holds": Note(3, 0.0, 2)})
    assert set(counting.add(health, report(at=10_000.0), 60.0).senders) == {"holds", "a"}
