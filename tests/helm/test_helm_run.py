"""A whole release, run: manifests as processes, until the ledger of the first campaign balances; and a cluster of NATS with TLS
that loses a server."""

import asyncio
import contextlib
import json
import re
import urllib.error
import urllib.request

import pytest
import trustme
from manifests import parse, pods, quantity
from process_watching import until
from release import Release, control_port
from tools import Helm

from events import streams
from events.errors import RetryLater
from events.nats_bus import BusSettings, NatsBus
from jetpost.simulator import client

STAYING = ("clickhouse", "nats", "simulator", "producer", "sender", "ingester", "web", "public")
QUICK = "nats.syncInterval=2m"
"""The disk of a test need not survive a power failure."""
VALUES = (
    QUICK,
    "demo.recipients=300",
    "config.web.webhooks.shop.esp=standard",
    r"secrets.settings.web\.webhooks\.shop\.signing_secrets.name=shop",
    r"secrets.settings.web\.webhooks\.shop\.signing_secrets.key=secret",
)


@pytest.fixture
async def started(helm, tmp_path):
    releases = []

    def start(example: str, *values: str) -> Release:
        sets = [argument for value in values for argument in ("--set", value)]
        text = helm.template("-f", Helm.chart / "examples" / f"{example}.yaml", *sets)
        releases.append(Release(parse(text), tmp_path))
        return releases[-1]

    yield start
    for release in releases:
        await release.stop()


def get(url: str, token: str = "") -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


async def whole(bus: NatsBus) -> bool:
    with contextlib.suppress(RetryLater):
        return await bus.lacking() == []
    return False


async def test_everything_starts_in_any_order_sends_and_proves_its_ledger(started):
    release = started("demo", *VALUES)
    release.secrets["shop"] = {"secret": "whsec_" + "c2VjcmV0" * 4}
    tests = [pod for pod in pods(release.documents) if pod.owner.startswith("Pod ")]
    jobs = [release.pod("setup"), release.pod("demo"), *tests]
    await release.start(*STAYING, "operator")
    said, _ = await asyncio.gather(
        asyncio.gather(*map(release.job, jobs)), asyncio.gather(*map(release.ready, STAYING))
    )
    await release.job(release.pod("suppression-compact"))

    campaigns = [one[-1] for one in said if len(one) > 1]
    assert len(campaigns) == 2
    assert all("EVENTS, ClickHouse and the plan agree" in one for one in campaigns)
    token = release.texts("Secret", "jetpost-secrets")["api-token"]
    address = f"http://{release.address('web')}:8080"
    ledgers = [one["progress"]["ledger"] for one in json.loads(get(f"{address}/api/campaigns", token))["campaigns"]]
    assert sorted(one["planned"] for one in ledgers) == [100, 300]
    measured = get(f"http://{release.address('ingester')}:9100/metrics")
    assert re.search(r"^senders_wanted\{.*\} \d", measured, re.MULTILINE), "the scaler asks for it"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(f"{address}/api/campaigns", "another")
    taken = await client.stats(control_port(release.running("simulator")), release.address("simulator"))
    assert (taken.accepted, taken.accepted_more_than_once) == (sum(one["accepted"] for one in ledgers), 0)

    operator, web = release.running("operator"), release.running("web")
    assert "finished" in await web.execute("jetpost", "status")
    assert "No mail is in doubt" in await operator.execute("jetpost", "doubts", "list")

    for component in STAYING:
        container = release.running(component)
        await container.answers("livenessProbe", 10)
        assert container.left_behind() == [], component
        if component != "clickhouse":  # chdb in Python is no measure of the server
            limit = container.spec["resources"]["limits"]["memory"]
            assert container.most_memory() < quantity(limit), component
    assert "Violation" not in release.running("nats").log(), "a component may not do what it does"
    codes = await release.stop()
    assert {component: code for component, code in codes.items() if code and component != "clickhouse"} == {}


async def test_a_cluster_of_nats_with_tls_goes_on_without_one_of_its_servers(started):
    release = started("default", QUICK, "nats.replicas=3", "nats.tls.enabled=true", "nats.tls.existingSecret=nats-tls")
    servers = ("nats", "nats-1", "nats-2")
    authority = trustme.CA()
    certificate = authority.issue_cert(*map(release.address, servers))
    release.secrets["nats-tls"] = {
        "tls.crt": b"".join(part.bytes() for part in certificate.cert_chain_pems).decode(),
        "tls.key": certificate.private_key_pem.bytes().decode(),
        "ca.crt": authority.cert_pem.bytes().decode(),
    }
    staying = (*servers, "clickhouse", "producer", "public")
    await release.start(*staying)
    await asyncio.gather(release.job(release.pod("setup")), *map(release.ready, staying))

    await release.kill("nats-1")
    for component in ("producer", "public"):
        await release.ready(component)
    with authority.cert_pem.tempfile() as ca_file:
        password = release.texts("Secret", "jetpost-secrets")["nats-operator-password"]
        url = ",".join(f"tls://{release.address(name)}:4222" for name in ("nats", "nats-2"))
        settings = BusSettings(url=url, user="operator", password=password, ca_file=ca_file, replicas=3)
        bus = await NatsBus.connect(settings, name="test")
        try:
            await until(lambda: whole(bus), seconds=90)  # once the two that are left have chosen leaders
            config = (await bus._api(f"STREAM.INFO.{streams.MAIL.name}"))["config"]
            assert config["num_replicas"] == 3
            assert (await bus.storage()).limit == 3 * 17 * 10**9
        finally:
            await bus.close()
