"""Hosts that the fault tooling makes: what they reach while one is cut off, and that nothing of them stays."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

from benchmarks.chaos.hosts import Hosts, lacking

PORT = 4222
LISTENER = f"""
import socket
listener = socket.create_server(("", {PORT}))
print("ready", flush=True)
while True:
    listener.accept()
"""
GONE_SECONDS = 0.5


@pytest.fixture(scope="module")
def allowed():
    if why := lacking():
        pytest.skip(why)


@contextlib.contextmanager
def listening(place):
    process = subprocess.Popen([*place.inside, sys.executable, "-c", LISTENER], stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def reach(address):
    socket.create_connection((address, PORT), timeout=GONE_SECONDS).close()


def test_what_is_sent_to_a_host_that_is_cut_off_vanishes_and_arrives_again_after(allowed):
    with Hosts("one", "two") as hosts:
        one, two = hosts.place("one"), hosts.place("two")
        with listening(one), listening(two):
            reach(one.address)
            hosts.cut("one")
            with pytest.raises(TimeoutError):  # it is not refused
                reach(one.address)
            reach(two.address)
            hosts.mend("one")
            reach(one.address)


def test_hosts_reach_each_other(allowed):
    with Hosts("one", "two") as hosts, listening(hosts.place("one")):
        script = f"import socket; socket.create_connection(({hosts.place('one').address!r}, {PORT}), {GONE_SECONDS})"
        asking = [*hosts.place("two").inside, sys.executable, "-c", script]
        assert subprocess.run(asking, check=False).returncode == 0
        hosts.cut("two")
        assert subprocess.run(asking, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_nothing_of_them_stays_whatever_happens_inside(allowed):
    process = None

    def fail():
        nonlocal process
        with Hosts("one") as hosts:
            inside = hosts.place("one").inside
            process = subprocess.Popen([*inside, sys.executable, "-c", LISTENER], stdout=subprocess.PIPE)
            process.stdout.readline()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert f"jetpost-{os.getpid()}-" not in said("netns", "list")
    assert f"jp{os.getpid()}-" not in said("link")


def said(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def test_what_a_killed_run_left_is_removed_by_the_next(allowed):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = f"jetpost-{dead.pid}-1-host-1"
    subprocess.run(["ip", "netns", "add", left], check=True)
    with Hosts("one"):
        assert left not in said("netns", "list")
