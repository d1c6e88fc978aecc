"""A whole release, run: the manifests of the demo as processes, until the ledger of its campaign balances."""

import asyncio
import re

import pytest
from manifests import parse, pods
from release import Release, control_port
from tools import Helm

from jetpost.simulator import client

STAYING = ("clickhouse", "nats", "simulator", "producer", "sender", "ingester", "web", "public")
RECIPIENTS = 300
VALUES = (
    f"demo.recipients={RECIPIENTS}",
    "nats.syncInterval=2m",  # a disk of the test need not survive a power failure
    "config.web.webhooks.shop.esp=standard",
    r"secrets.settings.web\.webhooks\.shop\.signing_secrets.name=shop",
    r"secrets.settings.web\.webhooks\.shop\.signing_secrets.key=secret",
)


@pytest.fixture
async def release(helm, tmp_path):
    sets = [argument for value in VALUES for argument in ("--set", value)]
    documents = parse(helm.template("-f", Helm.chart / "examples" / "demo.yaml", *sets))
    running = Release(documents, tmp_path, {"shop": {"secret": "whsec_" + "c2VjcmV0" * 4}})
    yield running
    await running.stop()


def bytes_of(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


async def test_everything_starts_in_any_order_sends_proves_its_ledger_and_ends(release):
    tests = [pod for pod in pods(release.documents) if pod.owner.startswith("Pod ")]
    jobs = [release.pod(component) for component in ("setup", "demo", "suppression-compact")]
    await release.start(*STAYING)

    *said, _ = await asyncio.gather(*map(release.job, (*jobs, *tests)), *map(release.ready, STAYING))

    campaign, compacted = said[1], said[2]
    assert "EVENTS, ClickHouse and the plan agree" in campaign[-1]
    assert compacted
    counted = await client.stats(control_port(release.running("simulator")), release.address("simulator"))
    assert counted.accepted_more_than_once == 0
