"""What the benchmark of autoscaling makes of what it saw."""

import pytest

from benchmarks.autoscaling import part, scenario
from benchmarks.autoscaling.recording import Look, read, write
from benchmarks.autoscaling.scenario import SCALING, Plan

METRICS = """\
# TYPE senders_wanted gauge
senders_wanted{reason="deadline"} 4.0
# TYPE queue_depth gauge
queue_depth{pool="main",provider="gmail"} 1200.0
queue_depth{pool="main",provider="other"} 300.0
# TYPE campaign_deadline_risk_seconds gauge
campaign_deadline_risk_seconds{campaign="bench"} 12.34
"""


class Running:
    running = 3


def test_a_look_has_what_the_ingester_shows():
    sample = scenario.sampled(METRICS, Running(), 7.04)
    assert sample == (7.0, 4, "deadline", 3, 1_500, 12.3)


def test_where_it_is_not_known_how_many_are_wanted_there_is_no_look():
    assert scenario.sampled(METRICS.replace("senders_wanted", "senders_alive"), Running(), 7.0) is None


def test_so_few_senders_could_do_it_if_they_came_at_once():
    assert scenario.least_senders(Plan(name="deadline", mails=30_000, within_seconds=240.0)) == 3
    assert scenario.least_senders(Plan(name="deadline", mails=11_500, within_seconds=240.0)) == 1


def test_only_the_campaign_with_a_deadline_needs_more_than_one_sender():
    plans = part.plans(30_000, 240.0)
    assert scenario.least_senders(plans["deadline"]) > 1
    each = scenario.CONNECTIONS / (scenario.REPLIES * scenario.LATENCY_MS / 1_000)
    assert plans["limited"].pool_rate < each
    assert all(plans[name].earlier for name in ("limited", "throttled"))


def run(**changed):
    usual = {"balanced": True, "in_time": True, "most_senders": 4, "least_senders": 3, "seconds": 200.0, "reasons": {}}
    return usual | {"plan": {"within_seconds": 240.0}} | changed


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("deadline", {"in_time": False, "seconds": 250.0}, "done after 250 s of 240"),
        ("deadline", {"most_senders": 7}, "7 senders where 3 might do"),
        ("deadline", {"balanced": False}, "do not balance"),
        (
            "limited",
            {"most_senders": 2, "reasons": {"provider_limited": 9}},
            "2 senders where more than one does not help",
        ),
        ("throttled", {"most_senders": 1}, "never said"),
    ],
)
def test_what_should_have_been_otherwise_is_named(name, changed, said):
    (found,) = part.missed({name: run(**changed)})
    assert said in found


def test_what_went_well_is_not():
    fine = {"limited": run(most_senders=1, reasons={"provider_limited": 9}), "deadline": run()}
    assert part.missed(fine) == []


def test_a_recording_is_read_as_it_was_written(tmp_path):
    looks = [Look(now, [("main", "gmail", "c", 3)], 1, {}, 9, []) for now in (1.0, 2.0)]
    write(tmp_path / "r.json", SCALING, looks)
    found = read(tmp_path / "r.json")
    assert (found.settings, found.looks) == (SCALING, looks)
    assert found.looks[0].seen().queues.due == {("main", "gmail", "c"): 3}
