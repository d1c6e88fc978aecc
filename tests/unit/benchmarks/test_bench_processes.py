"""CPU time and memory of processes, as the benchmark reads them."""

import os
import subprocess
import sys
import time

import pytest

from benchmarks.frame import processes
from benchmarks.frame.processes import Cpu, Reading


def reading(at, machine, **used):
    return Reading(at, {name: Cpu(*seconds) for name, seconds in used.items()}, machine)


def test_our_own_time_is_what_the_clock_of_the_process_says():
    own = processes.cpu(os.getpid())
    assert own is not None
    assert own.total == pytest.approx(time.process_time(), abs=0.1)


def test_our_peak_is_more_than_python_itself_needs():
    assert 5_000_000 < processes.peak_memory(os.getpid()) < 50_000_000_000


def test_a_process_that_is_gone_is_left_out():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert processes.cpu(gone.pid) is None
    assert processes.peak_memory(gone.pid) is None
    assert set(processes.read({"gone": gone.pid, "own": os.getpid()}).processes) == {"own"}


def test_between_two_readings_each_took_the_difference():
    before, after = reading(0, 0, sender=(1, 2)), reading(10, 0, sender=(4, 3))
    assert processes.between(before, after) == {"sender": Cpu(3, 1)}


def test_what_started_meanwhile_took_all_that_it_has():
    assert processes.between(reading(0, 0), reading(1, 0, sender=(4, 3))) == {"sender": Cpu(4, 3)}


def test_what_others_did_is_what_the_machine_did_and_we_did_not():
    before, after = reading(0, 100, own=(0, 0)), reading(10, 118, own=(5, 5))
    assert processes.cores_of_others(before, after) == pytest.approx(0.8)


def test_others_never_did_less_than_nothing():
    assert processes.cores_of_others(reading(0, 100, own=(0, 0)), reading(10, 105, own=(5, 5))) == 0
