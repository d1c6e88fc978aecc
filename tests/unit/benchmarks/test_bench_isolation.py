"""Work in a process of its own."""

import os

import pytest

from benchmarks.frame.isolation import apart


def test_it_is_another_process():
    assert apart(os.getpid) != os.getpid()


def test_arguments_go_in_and_the_result_comes_out():
    assert apart(divmod, 7, 2) == (3, 1)
    assert apart(int, "ff", base=16) == 255


def test_work_that_dies_ends_us_too():
    with pytest.raises(SystemExit):
        apart(os._exit, 3)
