"""What is called a change between two results of the benchmark, and what is noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.frame.figures import compare, figure, paired, worse

SAME_SPEED = (1.0, 1.0, 1.0)


def rates(*values, speeds=None):
    return figure("rate", "/s", values, speeds or [1.0] * len(values))


def only(before, now):
    (change,) = compare({"it": before}, {"it": now})
    return change


def test_a_lower_rate_is_worse_and_named():
    change = only(rates(100, 101, 99), rates(80, 81, 79))
    assert change.verdict == "worse"
    assert change.change == pytest.approx(-0.2)
    assert worse([change]) == [change]


def test_a_higher_cost_is_worse():
    before, now = (figure("cost", "µs", values, SAME_SPEED) for values in ([200, 201, 199], [250, 251, 249]))
    assert only(before, now).verdict == "worse"
    assert only(now, before).verdict == "better"


def test_more_memory_is_worse():
    before, now = (figure("plain cost", "MB", [value], [1.0]) for value in (100, 150))
    assert only(before, now).verdict == "worse"


def test_what_the_runs_differ_by_themselves_is_noise():
    assert only(rates(100, 130, 70), rates(85, 88, 82)).verdict == "same"


def test_a_little_is_noise_even_where_runs_agree():
    assert only(rates(100, 100, 100), rates(98, 98, 98)).verdict == "same"


def test_one_run_alone_says_nothing_of_its_noise():
    assert only(rates(100), rates(91)).verdict == "same"
    assert only(rates(100), rates(89)).verdict == "worse"


def test_one_slow_run_among_three_does_not_decide():
    assert only(rates(100, 101, 99), rates(100, 101, 50)).verdict == "same"


def test_a_slower_machine_is_not_a_regression():
    before = rates(100, 101, 99)
    assert only(before, rates(50, 50.5, 49.5, speeds=(0.5, 0.5, 0.5))).verdict == "same"
    costs = figure("cost", "µs", [200], [1.0]), figure("cost", "µs", [400], [0.5])
    assert only(*costs).verdict == "same"


def test_the_figures_are_shown_as_measured():
    change = only(rates(100), rates(50, speeds=(0.5,)))
    assert (change.before, change.now) == (100, 50)


def test_ratios_are_taken_run_by_run():
    assert paired([90, 300, 60], [30, 100, 20]).values == [3, 3, 3]


def test_nothing_to_divide_by_is_no_ratio():
    assert paired([90], [0]).values == [0]


def test_what_only_one_result_has_is_said():
    changes = compare({"old": rates(1)}, {"young": rates(2)})
    assert [(change.name, change.verdict, change.before, change.now) for change in changes] == [
        ("young", "new", None, 2),
        ("old", "gone", 1, None),
    ]
    assert not worse(changes)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=9), st.floats(0.1, 10))
def test_a_result_never_differs_from_itself_on_another_machine(values, speed):
    before = figure("rate", "/s", values, [1.0] * len(values))
    now = figure("rate", "/s", [value * speed for value in values], [speed] * len(values))
    change = only(before, now)
    assert change.verdict == "same"
    assert change.noise >= 0
