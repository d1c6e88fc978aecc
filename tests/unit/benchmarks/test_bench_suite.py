"""The figures of several runs, and the result that they are compared with."""

import json

import pytest

from benchmarks import catalogue
from benchmarks.frame import document
from benchmarks.suite import runs, stored
from benchmarks.suite.runs import Run


def campaign(rate, cpu, balanced=True, others=0.1):
    used = {"user": cpu, "system": 0, "total": cpu}
    return {
        "mails_per_second": rate,
        "balanced": balanced,
        "cores_of_others": others,
        "cpu_us_per_mail": {"sender-1": used, "total": used},
        "peak_memory_mb": {"sender-1": 70},
    }


def run(rate=8_000, plain=2_000, cpu=200, loops=5e6, balanced=True, others=0.1, **calibration):
    return Run(
        calibration={"python_loops_per_second": loops, **calibration},
        pipelined=campaign(rate, cpu),
        plain=campaign(plain, cpu * 3, balanced, others),
        sendmail=campaign(plain * 0.75, cpu * 4, balanced, others),
    )


BUDGET = {"events_per_second": 50_000}


def test_the_headline_is_the_median_and_the_ratio_is_taken_run_by_run():
    found = runs.figures([run(8_000, 2_000), run(4_000, 1_000), run(7_000, 1_750)], BUDGET)
    assert found["mails a second"].median == 7_000
    assert found["pipelined ÷ one at a time"].values == [4, 4, 4]
    assert found["CPU per mail, total"].median == 200
    assert found["memory, sender-1"].median == 70
    assert found["events a second, one ingester"].median == 50_000


def test_what_postfix_would_measure_is_missing_where_one_run_lacks_it():
    name = "mails a second ÷ smtp-source → smtp-sink"
    assert runs.figures([run(smtp_mails_per_second=16_000)], BUDGET)[name].values == [0.5]
    assert name not in runs.figures([run(smtp_mails_per_second=16_000), run()], BUDGET)


def test_one_campaign_out_of_balance_spoils_all():
    assert runs.balanced([run(), run()])
    assert not runs.balanced([run(), run(balanced=False)])


def test_what_else_the_machine_did_is_told_of_the_worst_campaign():
    assert runs.cores_of_others([run(), run(others=1.2), run()]) == 1.2


def test_the_calibration_is_the_median_of_all_runs():
    assert runs.calibration([run(loops=3), run(loops=9), run(loops=5)]) == {"python_loops_per_second": 5}


def test_what_was_stored_is_read_again(tmp_path):
    figures = runs.figures([run()], BUDGET)
    document.write(tmp_path / "bench.json", "bench", {"figures": figures, "balanced": True}, {})
    found = stored.read(tmp_path / "bench.json")
    assert found is not None
    assert found.figures == figures


def test_nothing_stored_yet_is_nothing_to_compare_with(tmp_path):
    assert stored.read(tmp_path / "bench.json") is None


def test_a_result_says_what_it_was_measured_on(tmp_path):
    document.write(tmp_path / "it.json", "e2e", {"mails_per_second": 9_000}, {"python_loops_per_second": 5e6})
    found = json.loads((tmp_path / "it.json").read_bytes())
    assert found["mails_per_second"] == 9_000
    assert found["calibration"] == {"python_loops_per_second": 5e6}
    assert found["machine"]["cores"] >= 1
    assert "python" in found["versions"]


def test_a_rate_is_also_given_as_a_multiple_of_the_calibration():
    calibration = {"python_loops_per_second": 5e6, "smtp_mails_per_second": 12_000}
    assert document.relative({"mails_per_second": 9_000}, calibration) == {
        "to_smtp_source": 0.75,
        "to_thousand_python_loops": 1.8,
    }
    assert document.relative({"mails_per_second": 9_000}, {}) == {}
    assert document.relative({}, calibration) == {}


@pytest.mark.parametrize("part", catalogue.PARTS, ids=lambda part: part.name)
def test_every_part_has_a_name_of_its_own_and_says_what_it_is(part):
    assert [other.name for other in catalogue.PARTS].count(part.name) == 1
    assert part.what
