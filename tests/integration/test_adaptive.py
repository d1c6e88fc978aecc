"""Sender processes and a provider that bears only so much: they find out together how much, and every mail gets there once."""

import time

import pytest

from benchmarks.campaigns import adaptive
from events import lanes, streams, subjects
from events.nats_bus import BusSettings
from jetpost.logs import LogSettings
from jetpost.settings import Settings, to_environment
from jetpost.simulator import client
from jetpost.simulator.profiles import Profile
from sender.adaptive.settings import AdaptiveSettings
from sender.settings import Relay, RetryPolicy, SenderSettings

MAILS = {"gmail": 500, "microsoft": 0, "yahoo": 0, "apple": 0, "other": 300}
GMAIL = Profile(rate=60, burst=60, tolerance=40, tolerance_seconds=1, penalty_seconds=1)
"""A penalty is soon over: what counts is whether there are many."""


@pytest.fixture
def bus(nats_bus):
    return nats_bus


def settings_for(url, folder, port):
    sender = SenderSettings(
        pools={adaptive.POOL: Relay(port=port, max_connections=4, pipeline_depth=4)},
        adaptive=AdaptiveSettings(window_seconds=0.5, recovery_seconds=20, floor=2),
        retry=RetryPolicy(throttled_base_seconds=0.5, transient_base_seconds=0.5),
    )
    return Settings(data_dir=folder, nats=BusSettings(url=url), sender=sender, log=LogSettings(format="json"))


async def test_senders_slow_a_lane_down_together_and_the_others_go_on(bus, empty_nats_server, tmp_path):
    async with adaptive.children(tmp_path) as start:
        arguments = ("simulator", "--port=0", "--latency=0.02", f"--state-dir={tmp_path / 'simulator'}")
        simulator = await start("simulator", arguments, {})
        control = int(simulator.addresses["control"])
        await client.set_profiles(control, {"gmail": GMAIL})
        settings = settings_for(empty_nats_server.url, tmp_path, int(simulator.addresses["smtp"]))
        await adaptive.queue(bus, MAILS)
        for name in ("sender-1", "sender-2"):
            await start(name, ("sender", "run"), to_environment(settings))
        assert await adaptive.until_empty(bus, time.monotonic()) == 0
        taken = await client.stats(control)
        known = await lanes.read(bus)

    assert (taken.accepted, taken.accepted_more_than_once) == (800, 0)
    gmail = known[adaptive.POOL, "gmail"]
    assert gmail.why.code == 421
    assert gmail.rate < GMAIL.rate * 2
    assert known.get((adaptive.POOL, "other")) is None
    stated = await bus.count_by_subject(streams.EVENTS.name, subjects.EVENTS)
    assert stated[subjects.event("deferred", adaptive.CAMPAIGN)] < MAILS["gmail"] / 2
