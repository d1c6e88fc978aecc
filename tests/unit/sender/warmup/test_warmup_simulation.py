"""45 days of warm-up, in which things go wrong now and then."""

import pytest

from sender.warmup import plan, simulation
from sender.warmup.settings import WarmupSettings
from sender.warmup.simulation import SCENARIO, Happening

SETTINGS = WarmupSettings(enabled=True)


def simulated(settings=SETTINGS, **kwargs):
    return {row.day: row for row in simulation.simulate(settings, **kwargs)}


def test_where_all_goes_well_a_lane_is_warm_after_the_days_of_its_plan():
    rows = simulated(scenario={}, volume=2_000_000)
    steps = plan.steps(SETTINGS)
    assert [rows[day + 1].allowed for day in range(len(steps))] == list(steps)
    assert rows[len(steps) + 1].allowed is None


def test_no_day_has_more_mails_than_it_is_allowed():
    for row in simulated().values():
        assert row.allowed is None or row.counts.mails + row.counts.deferred <= row.allowed


def test_days_without_mails_and_bad_days_are_repeated():
    rows = simulated()
    assert rows[6].allowed == rows[7].allowed == rows[8].allowed
    assert rows[12].counts.verdict.startswith("bounces: ")
    assert rows[13].allowed == rows[12].allowed


@pytest.mark.parametrize("bad", [18, 25])
def test_complaints_and_blocks_end_the_day_and_halve_the_next_one(bad):
    rows = simulated()
    assert rows[bad].counts.mails < rows[bad].allowed / 2
    assert rows[bad + 1].allowed <= rows[bad].allowed / 2
    assert rows[bad + 4].allowed > rows[bad + 1].allowed


def test_growth_beyond_what_the_provider_bears_is_held_back_by_its_deferrals():
    greedy = WarmupSettings(enabled=True, first_day_mails=2_000, growth=6.0, target_mails=10_000_000)
    rows = simulated(greedy, scenario={}, volume=1_000_000, days=10)
    held = [row for row in rows.values() if row.counts.verdict.startswith("deferred: ")]
    assert held
    assert all(rows[row.day + 1].allowed == row.allowed for row in held if row.day < 10)


def test_a_lane_with_few_mails_stays_where_its_mails_are():
    rows = simulated(scenario={}, volume=5_000)
    assert rows[45].allowed == next(mails for mails in plan.steps(SETTINGS) if mails * 0.8 > 5_000)
    assert rows[45].left == 0


def test_the_same_scenario_gives_the_same_table():
    assert simulation.simulate(SETTINGS) == simulation.simulate(SETTINGS)
    assert Happening() not in SCENARIO.values()
