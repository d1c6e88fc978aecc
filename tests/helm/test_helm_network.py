"""Network policies let through what the pods' own settings need, and nothing else."""

import re
import tomllib
from urllib.parse import urlsplit

import pytest
from manifests import named, of_kind, parse, pods, selects, settings_file
from network import WORLD, Firewall

DNS = 53


@pytest.fixture
def network(documents):
    return Firewall.of(documents, {pod.component: dict(pod.labels) for pod in pods(documents)})


def target_of(documents, host, port):
    """Component and port of the pod that a name of a service leads to; the world for other names."""
    for service in of_kind(documents, "Service"):
        if re.fullmatch(rf"([\w-]+\.)?{service['metadata']['name']}(\.mail(\.svc)?)?", host):
            (pod,) = [pod for pod in pods(documents) if selects(service["spec"]["selector"], pod.labels)]
            (target,) = [one["targetPort"] for one in service["spec"]["ports"] if one["port"] == port]
            return pod.component, pod.ports()[target]
    return WORLD, port


def wanted(documents):
    """Who asks whom: every address in settings, variables and arguments, as (component, host, port)."""
    settings = tomllib.loads(settings_file(documents))
    for pod in pods(documents):
        for container in pod.containers:
            if any(one["name"].startswith("JETPOST_NATS") for one in container.get("env", [])):
                for url in settings["nats"]["url"].split(","):
                    yield pod.component, urlsplit(url.strip()).hostname, urlsplit(url.strip()).port or 4222
            texts = [*container.get("args", []), *(one.get("value", "") for one in container.get("env", []))]
            for url in re.findall(r"https?://\S+", " ".join(texts)):
                yield pod.component, urlsplit(url).hostname, urlsplit(url).port
        if pod.component == "sender":
            for pool in settings["sender"]["pools"].values():
                yield "sender", pool["host"], pool.get("port", 25)


def test_whoever_has_an_address_reaches_it(documents, network):
    found = list(wanted(documents))
    assert {component for component, _, _ in found} >= {"producer", "sender", "ingester", "web", "setup", "test"}
    for component, host, port in found:
        target, there = target_of(documents, host, port)
        assert network.allows(component, target, there), (component, host, port)


def test_whoever_has_an_address_finds_it(documents, network):
    for component in {component for component, _, _ in wanted(documents)}:
        assert network.allows(component, WORLD, DNS)


def test_prometheus_and_scalers_reach_every_process(documents, network):
    for pod in pods(documents):
        if "metrics" in pod.ports():
            assert network.allows(WORLD, pod.component, pod.ports()["metrics"])


def test_everybody_reaches_what_is_public_and_nobody_the_rest(documents, network):
    for pod in pods(documents):
        for name, port in pod.ports().items():
            if name == "metrics":
                continue
            open_to_all = pod.component in ("public", "bounces") or (
                pod.component == "web" and _has_front(documents, "web")
            )
            assert network.allows(WORLD, pod.component, port) == open_to_all, (pod.component, name)


def _has_front(documents, component):
    """Whether values name who may come in there."""
    policy = named(documents, "NetworkPolicy", f"jetpost-{component}")
    return len(policy["spec"]["ingress"]) > 3


def test_servers_of_data_talk_to_those_who_need_them(documents, network):
    for server, port, users in (
        ("clickhouse", 8123, {"ingester", "web", "setup"}),
        ("nats", 8222, set()),
        ("simulator", 2525, {"sender"}),
    ):
        if server in network.labels:
            asking = {component for component in network.labels if network.allows(component, server, port)}
            assert asking == users, server


def test_servers_of_data_ask_nobody(documents, network):
    for server in {"clickhouse", "simulator"} & set(network.labels):
        assert not [
            other
            for other in (*network.labels, WORLD)
            for port in (25, DNS, 443)
            if network.allows(server, other, port)
        ]


def test_servers_of_nats_find_each_other(rendered):
    for example, many in (("ha", True), ("tls", True), ("default", False)):
        documents = rendered.documents(example)
        network = Firewall.of(documents, {pod.component: dict(pod.labels) for pod in pods(documents)})
        assert network.allows("nats", "nats", 6222) is many


@pytest.mark.parametrize(("more", "port"), [({}, 993), ({"tls": "starttls"}, 143), ({"port": "1993"}, 1993)])
def test_whoever_reads_a_mailbox_reaches_it(helm, more, port):
    mailbox = {"host": "imap.example.net", "username": "bounces"} | more
    settings = [text for name, value in mailbox.items() for text in ("--set", f"config.bounces.imap.{name}={value}")]
    secret = "secrets.settings.bounces\\.imap\\.password"
    password = ["--set", f"{secret}.name=mailbox", "--set", f"{secret}.key=password"]
    documents = parse(helm.template("--set", "bounces.enabled=true", *settings, *password))
    network = Firewall.of(documents, {pod.component: dict(pod.labels) for pod in pods(documents)})
    assert [asked for asked in (143, 993, 1993) if network.allows("bounces", WORLD, asked)] == [port]
    (pod,) = [pod for pod in pods(documents) if pod.component == "bounces"]
    variables = {one["name"] for container in pod.containers for one in container.get("env", [])}
    assert "JETPOST_BOUNCES_IMAP_PASSWORD" in variables


def test_nothing_is_decided_for_a_cluster_that_has_rules_of_its_own(helm):
    assert "NetworkPolicy" not in helm.template("--set", "networkPolicy.enabled=false")
