"""How what a server took is held against a limit."""

import pytest

from benchmarks.campaigns import throttle
from sender.throttle.limits import Limits

STEADY = dict.fromkeys(range(100_000, 100_500), 1)
"""One mail in each hundredth of five seconds from the 1000th on."""


def test_the_most_in_a_second_is_that_of_any_second():
    assert throttle.most_in_a_second(STEADY) == 101
    assert throttle.most_in_a_second(STEADY | {100_250: 31}) == 131
    assert throttle.most_in_a_second({100_000: 5, 100_100: 5}) == 10
    assert throttle.most_in_a_second({100_000: 5, 100_101: 5}) == 5
    assert throttle.most_in_a_second({}) == 0


def test_the_least_in_a_second_is_that_of_any_second_within_the_time():
    assert throttle.least_in_a_second(STEADY, 1_000.0, 1_005.0) == pytest.approx(100, abs=1)
    gap = {at: number for at, number in STEADY.items() if not 100_200 <= at < 100_250}
    assert throttle.least_in_a_second(gap, 1_000.0, 1_005.0) == 50


def test_what_was_missed_is_named():
    kept = throttle.figures(STEADY, Limits(rate=100, burst=20), 1_000.0, 1_005.0)
    assert (kept["used"], kept["missed"]) == (1.0, [])
    unused = throttle.figures(STEADY, Limits(rate=110, burst=20), 1_000.0, 1_005.0)
    assert unused["missed"] == ["only 90.9% of the rate was used"]
    exceeded = throttle.figures(STEADY | {100_250: 50}, Limits(rate=100, burst=20), 1_000.0, 1_005.0)
    assert exceeded["missed"] == ["150 mails in a second"]
    assert throttle.kept({"pool": kept, "lane": unused})
    assert not throttle.kept({"pool": kept, "lane": exceeded})
