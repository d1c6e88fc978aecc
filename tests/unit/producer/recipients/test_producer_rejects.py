from __future__ import annotations

import csv

from producer.recipients.rejects import RejectsFile, path_beside
from producer.recipients.rows import Rejected


def test_rejects_can_be_read_as_csv(tmp_path) -> None:
    path = path_beside(tmp_path / "audience.csv", "sale", None)
    with RejectsFile(path) as file:
        file.write(Rejected(7, 'There is "no" address, at all.', "a,b\nc"))
    with path.open(newline="") as lines:
        assert list(csv.reader(lines)) == [["line", "reason", "row"], ["7", 'There is "no" address, at all.', "a,b\nc"]]


def test_without_rejects_there_is_no_file_not_even_an_old_one(tmp_path) -> None:
    path = tmp_path / "sale.rejects.csv"
    path.write_text("of the last run")
    with RejectsFile(path):
        pass
    assert not path.exists()


def test_a_row_that_a_spreadsheet_would_run_is_made_harmless(tmp_path) -> None:
    path = tmp_path / "sale.rejects.csv"
    with RejectsFile(path) as file:
        file.write(Rejected(1, "reason", "=cmd|x"))
    assert "'=cmd|x" in path.read_text()
