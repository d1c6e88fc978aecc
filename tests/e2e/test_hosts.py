"""Three hosts, each with a nats-server, a sender and a producer; one is cut off and returns. Every mail is counted.

It is the one that leads the cluster and most streams, and it is cut off while mails are queued and sent.
"""

import asyncio
import json
import sys
import urllib.request
from pathlib import Path

import pytest
from jetpost_command import run as jetpost

from benchmarks.chaos import faults_hosts, hosts
from benchmarks.chaos.experiment import experiment
from benchmarks.chaos.fault import Fault
from benchmarks.chaos.options import Options
from benchmarks.chaos.stage import opened
from events import streams
from jetpost.settings import to_environment

CHILD = Path(__file__).with_name("cut_off_child.py")
OPTIONS = Options(seed=14, mails=2_000, ack_wait_seconds=8.0, seconds=5.0)
"""With this seed half of the mails are queued when the host is cut off."""
LED_BY_ANOTHER = (streams.EVENTS.name, streams.stream_of_bucket(streams.CAMPAIGNS))


@pytest.fixture
async def stage(tmp_path):
    if lacking := await asyncio.to_thread(hosts.lacking):
        pytest.skip(lacking)
    async with opened(tmp_path, OPTIONS, "hosts") as stage:
        yield stage


class Witness:
    """What processes on the host were told while it was cut off."""

    def __init__(self):
        self.told = {}

    async def ask(self, blow, number):
        place = blow.stage.cluster.places[int(number) - 1]
        url = blow.stage.cluster.url_from(place).partition(",")[0]
        child = await asyncio.create_subprocess_exec(
            *(*place.inside, sys.executable, CHILD, url, blow.campaign), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await child.communicate()
        self.told = json.loads(output)


async def one_leads_nearly_all(blow):
    await faults_hosts.one_leads(blow)
    cluster = blow.stage.cluster
    leading = await cluster.leader("MAIL")
    await cluster.lead(next(name for name in cluster.names if name != leading), *LED_BY_ANOTHER)


async def test_a_host_is_cut_off_and_returns_and_the_ledger_balances(stage):
    witness = Witness()
    strike = faults_hosts.cut_off(leader=True, meanwhile=witness.ask)
    fault = Fault("cut", "", strike, "queued", "wire", needs="hosts", prepare=one_leads_nearly_all)
    run = await experiment(stage, fault, 0, OPTIONS)
    assert run.broken == []  # nothing lost, nothing taken twice, no more in doubt than one sender had on the wire
    assert run.strikes == 1
    assert "sent again" in run.what_happened[0]
    assert {name: child.restarts for name, child in stage.stack.children.items() if child.restarts} == {}
    assert all([await asyncio.to_thread(ready, child) for child in stage.stack.children.values()])

    # What the copy there has is answered, and nobody decides by it.
    assert witness.told["copy"] > 0
    assert {witness.told["read"], witness.told["status"]} <= {"BusUnavailable", "NoAnswer"}

    environment = to_environment(stage.stack.settings) | {"JETPOST_WEB_PUBLIC_URL": stage.stack.web_url}
    said = await jetpost(stage.folder, "report", "cut-1", "--json", **environment)
    ledger = json.loads(said.output)["figures"]["progress"]["ledger"]
    assert ledger["planned"] == OPTIONS.mails == ledger["accepted"] + ledger["bounced"] + ledger["in_doubt"]


def ready(child):
    with urllib.request.urlopen(child.addresses["metrics"].replace("/metrics", "/readyz"), timeout=30) as answer:
        return answer.status == 200
