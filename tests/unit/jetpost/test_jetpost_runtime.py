"""What runs on this machine, as `jetpost up` writes it down."""

import pytest

from jetpost import runtime
from jetpost.errors import AlreadyUp

RUNNING = runtime.Running(
    pid=1, version="1", started_at=0.0, nats_url="nats://me:secret@a", web_url="http://localhost:8080", metrics={}
)


def test_a_running_stack_is_found(tmp_path):
    with runtime.owned(tmp_path):
        assert runtime.find(tmp_path) is None
        runtime.write(tmp_path, RUNNING)
        assert runtime.find(tmp_path) == RUNNING
    assert runtime.find(tmp_path) is None
    assert not (tmp_path / "run.json").exists()


def test_a_note_that_a_crash_left_deceives_nobody_although_its_process_id_lives(tmp_path):
    with runtime.owned(tmp_path):
        pass
    runtime.write(tmp_path, RUNNING)
    assert runtime.find(tmp_path) is None
    with runtime.owned(tmp_path):
        runtime.write(tmp_path, RUNNING)


def test_nothing_is_found_where_nothing_ever_ran(tmp_path):
    assert runtime.find(tmp_path / "none") is None


def test_a_broken_note_is_none(tmp_path):
    with runtime.owned(tmp_path):
        (tmp_path / "run.json").write_text("{")
        assert runtime.find(tmp_path) is None


def test_a_data_directory_has_one_owner(tmp_path):
    with runtime.owned(tmp_path):
        runtime.write(tmp_path, RUNNING)
        with pytest.raises(AlreadyUp, match=r"process 1, dashboard http://localhost:8080"), runtime.owned(tmp_path):
            pass
        assert runtime.find(tmp_path) == RUNNING


def test_looking_does_not_keep_an_owner_out(tmp_path):
    with runtime.owned(tmp_path):
        pass
    with (tmp_path / "run.lock").open("rb") as looking:
        runtime.fcntl.flock(looking, runtime.fcntl.LOCK_SH)
        looking.close()
        with runtime.owned(tmp_path):
            pass


def test_only_its_owner_reads_the_note(tmp_path):
    with runtime.owned(tmp_path):
        runtime.write(tmp_path, RUNNING)
        assert (tmp_path / "run.json").stat().st_mode & 0o077 == 0
