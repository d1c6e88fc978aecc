"""Every manifest of every example: valid for Kubernetes, whole in itself, and true of the code."""

import gzip
import json
import re
import tomllib
import xml.etree.ElementTree as ET

import jsonschema
import kubernetes_schemas
import pytest
import yaml
from custom_resources import SCHEMAS
from manifests import data_of, named, of_kind, parse, pods, selects, settings_file
from tools import EXAMPLES, NEWEST, OLDEST, Helm

from jetpost import metrics
from jetpost.settings import Settings
from jetpost.settings_tree import leaves

VERSIONS = {OLDEST: ["1.27"], NEWEST: ["1.31", "1.37"]}
"""With which versions what is rendered for one is held against the schemas of Kubernetes."""


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(rendered, version):
    seen = set()
    for example in EXAMPLES:
        for document in rendered.documents(example, version):
            text = re.sub(r"\b[0-9a-f]{8}\b|\b[0-9a-f]{64}\b", "", json.dumps(document))  # as if settings were the same
            if text in seen:
                continue
            seen.add(text)
            if schema := SCHEMAS.get((document["apiVersion"], document["kind"])):
                jsonschema.validate(document["spec"], schema)
                continue
            for one in VERSIONS[version]:
                kubernetes_schemas.validate(document, one)


def test_names_are_unique_and_in_the_namespace_of_the_release(documents):
    places = [(one["kind"], one["metadata"]["name"]) for one in documents]
    assert len(places) == len(set(places))
    assert {one["metadata"]["namespace"] for one in documents} == {"mail"}
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for _, name in places)


def test_nothing_is_named_twice_in_a_list_that_is_merged_by_name(documents):
    """Server-side apply refuses that."""
    for pod in pods(documents):
        names = [container["name"] for container in pod.containers]
        assert len(names) == len(set(names)), pod.owner
        for container in pod.containers:
            for field, key in (("env", "name"), ("ports", "containerPort"), ("volumeMounts", "mountPath")):
                values = [one[key] for one in container.get(field, [])]
                assert len(values) == len(set(values)), (pod.owner, field)


def test_selectors_find_their_pods_and_no_others(documents):
    everyone = list(pods(documents))
    for owner in of_kind(documents, "Deployment", "StatefulSet"):
        found = [pod for pod in everyone if selects(owner["spec"]["selector"]["matchLabels"], pod.labels)]
        assert [pod.owner for pod in found] == [f"{owner['kind']} {owner['metadata']['name']}"]
    for budget in of_kind(documents, "PodDisruptionBudget"):
        assert len([pod for pod in everyone if selects(budget["spec"]["selector"]["matchLabels"], pod.labels)]) == 1


def test_services_lead_to_ports_of_containers(documents):
    for service in of_kind(documents, "Service"):
        (pod,) = [pod for pod in pods(documents) if selects(service["spec"]["selector"], pod.labels)]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(pod.ports()), service["metadata"][
            "name"
        ]


def test_routes_from_outside_lead_to_ports_of_services(documents):
    for ingress in of_kind(documents, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            service = named(documents, "Service", backend["name"])
            assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    for route in of_kind(documents, "HTTPRoute"):
        (backend,) = route["spec"]["rules"][0]["backendRefs"]
        service = named(documents, "Service", backend["name"])
        assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]


def test_config_maps_and_secrets_that_are_used_exist_with_their_keys(documents, example):
    """A Secret that the values name is the operator's."""
    there = {one["metadata"]["name"]: data_of(one) for one in of_kind(documents, "ConfigMap", "Secret")}
    values = (Helm.chart / "examples" / f"{example}.yaml").read_text()
    made = {one["spec"]["secretName"] for one in of_kind(documents, "Certificate")}
    for pod in pods(documents):
        for name, keys in _references(pod.spec):
            if name in there:
                assert keys <= set(there[name]), (pod.owner, name)
            else:
                assert name in made or re.search(rf"\b{name}\b", values), (pod.owner, name)


def _references(spec):
    """Names of ConfigMaps and Secrets, each with the keys that must be there."""
    volumes = {}
    for volume in spec["volumes"]:
        source = volume.get("configMap") or volume.get("secret")
        if source:
            name = source.get("name") or source["secretName"]
            volumes[volume["name"]] = name
            yield name, {item["key"] for item in source.get("items", [])}
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        for variable in container.get("env", []):
            if wanted := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield wanted["name"], {wanted["key"]}
        for mount in container["volumeMounts"]:
            if mount["name"] in volumes and "subPath" in mount:
                yield volumes[mount["name"]], {mount["subPath"]}


def test_secrets_never_stand_in_a_config_map(documents):
    for text in (text for one in of_kind(documents, "ConfigMap") for text in data_of(one).values()):
        assert not re.search(r"^\s*\w*(password|secret|token|private_key)s? =", text, re.MULTILINE)


def test_names_and_labels_are_within_what_the_server_allows(documents):
    """What schemas do not say, and the server's validation does."""
    for pod in pods(documents):
        assert all(re.fullmatch(r"(?=.{1,15}$)[a-z0-9]+(-[a-z0-9]+)*", name) for name in pod.ports())
    for document in documents:
        for value in document["metadata"]["labels"].values():
            assert re.fullmatch(r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value)
    for service in of_kind(documents, "Service"):
        ports = [port["port"] for port in service["spec"]["ports"]]
        assert len(ports) == len(set(ports))
    for job in of_kind(documents, "CronJob"):
        assert len(job["spec"]["schedule"].split()) == 5


def test_a_config_map_holds_as_many_people_as_may_be_asked_for(helm):
    """The server takes a megabyte, and helm keeps the whole release, compressed, in a Secret that may have as much."""
    text = helm.template("--set", "demo.recipients=10000")
    assert all(len(json.dumps(one)) < 2**20 for one in of_kind(parse(text), "ConfigMap"))
    assert len(gzip.compress(text.encode())) < 2**19


def test_scalers_ask_for_metrics_that_exist_where_they_are(documents):
    for scaled in of_kind(documents, "ScaledObject"):
        (trigger,) = scaled["spec"]["triggers"]
        asked = trigger["metadata"]
        host, port = re.fullmatch(r"http://([\w-]+)\.mail\.svc:(\d+)/metrics", asked["url"]).groups()
        service = named(documents, "Service", host)
        assert int(port) in [one["port"] for one in service["spec"]["ports"]]
        assert service["spec"]["selector"]["app.kubernetes.io/component"] == "ingester"
        (metric,) = [one for one in metrics.EXPOSED["ingester"] if one._name == asked["valueLocation"]]
        assert metric._labelnames == ("reason",), "there is one series, or valueLocation must say which"
        assert trigger["metricType"] == "AverageValue"
        limits = tomllib.loads(settings_file(documents))["analytics"]["scaling"]
        assert (limits["min_senders"], limits["max_senders"]) == (
            scaled["spec"]["minReplicaCount"],
            scaled["spec"]["maxReplicaCount"],
        )
    for scaler in of_kind(documents, "ScaledObject", "HorizontalPodAutoscaler"):
        target = named(documents, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"], "the scaler decides"


def test_prometheus_finds_every_process(documents):
    for monitor in of_kind(documents, "PodMonitor"):
        components = monitor["spec"]["selector"]["matchExpressions"][0]["values"]
        measured = [pod for pod in pods(documents) if "metrics" in pod.ports()]
        assert sorted(components) == sorted(pod.component for pod in measured)


def test_rules_and_dashboard_are_the_files(documents):
    for rules in of_kind(documents, "PrometheusRule"):
        assert rules["spec"] == yaml.safe_load((Helm.chart / "files" / "alerts.yaml").read_text())
    for board in [one for one in of_kind(documents, "ConfigMap") if one["metadata"]["name"].endswith("dashboard")]:
        assert board["data"]["jetpost.json"].strip() == (Helm.chart / "files" / "dashboard.json").read_text().strip()


def test_clickhouse_has_a_configuration_that_is_xml(rendered):
    data = named(rendered.documents("default"), "ConfigMap", "jetpost-clickhouse")["data"]
    users = ET.fromstring(data["users.xml"])
    assert users.find("users/jetpost/password").attrib == {"from_env": "CLICKHOUSE_PASSWORD"}
    assert ET.fromstring(data["server.xml"]).find("logger/console").text == "1"


def test_the_schema_of_config_has_the_settings():
    """A guard of the tests above: nothing is checked where nothing is found."""
    assert len(leaves(Settings)) > 100
    assert len(EXAMPLES) >= 12
