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


def test_what_an_earlier_run_came_by_and_this_one_does_not_stays(tmp_path) -> None:
    path = tmp_path / "sale.rejects.csv"
    with RejectsFile(path) as file:
        for key in ("k1", "k2", "k3"):
            file.write(Rejected(key, "reason", "of\ntwo lines"))
        file.flush()
        before = path.read_text().splitlines()
    with RejectsFile(path, keep=2) as file:
        file.write(Rejected("k4", "reason", "of\ntwo lines"))
    assert path.read_text().splitlines() == [*before[:5], 'k4,reason,"of', 'two lines"']


def test_what_should_be_kept_may_be_gone(tmp_path) -> None:
    with RejectsFile(tmp_path / "sale.rejects.csv", keep=2) as file:
        file.write(Rejected("k4", "reason", "row"))
    assert file.path.read_text().splitlines() == ["line,reason,row", "k4,reason,row"]
