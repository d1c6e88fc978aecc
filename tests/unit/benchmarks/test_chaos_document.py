"""The published table is made of stored runs."""

import pytest

from benchmarks.chaos import catalogue, document, results
from benchmarks.chaos.results import Run

RUN = Run(
    fault="sender-kill",
    seed=1,
    number=1,
    mails=30_000,
    strikes=2,
    lost=0,
    duplicated=0,
    silently_duplicated=0,
    in_doubt=300,
    in_doubt_at_most=640,
    balanced=True,
    clickhouse_equal=True,
    seconds=20.0,
    broken=[],
    what_happened=["SIGKILL sender-1", "SIGKILL sender-2"],
    folder="/tmp/x",
    ack_wait_seconds=15.0,
    versions={"jetpost": "1.0"},
)


def test_runs_are_added_to_a_file_and_read_back(tmp_path):
    for _ in range(2):
        results.append(tmp_path / "runs.json", RUN)
    assert results.read(tmp_path / "runs.json") == [RUN, RUN]


def test_runs_of_a_fault_become_one_line_of_the_table():
    line = "| kill -9 of a sender | 2 | 4 | 60,000 | 0 | 0 | 600 of 1,280 | 2 of 2 | 2 of 2 | 20.0 |"
    assert line in document.table([RUN, RUN])


def test_the_page_keeps_everything_but_the_table():
    page = f"before\n{document.BEGIN}old\n{document.END}after\n"
    filled = document.filled(page, [RUN])
    assert filled.startswith("before\n")
    assert filled.endswith("after\n")
    assert "old" not in filled
    assert document.filled(filled, [RUN]) == filled


def test_the_published_page_has_its_markers():
    assert document.BEGIN in document.PAGE.read_text("utf-8")


@pytest.mark.parametrize("fault", catalogue.FAULTS, ids=lambda fault: fault.name)
def test_names_of_faults_make_ids_of_campaigns(fault):
    assert len(f"{fault.name}-1000") <= 40
    assert [other.name for other in catalogue.FAULTS].count(fault.name) == 1
