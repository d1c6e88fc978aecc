"""Every pod of every example: what it runs, what it may, what it is given."""

import re
import tomllib
from pathlib import Path

import typer.main
from manifests import named, pods, quantity, settings_file

from jetpost import cli
from jetpost.settings import Settings, load

OURS = "jetpost/jetpost"
COMMANDS = typer.main.get_command(cli.app)


def test_probes_ask_ports_and_paths_that_exist(documents):
    paths = {"metrics": {"/healthz", "/readyz"}, "monitor": {"/healthz"}, "http": {"/ping"}}
    for pod in pods(documents):
        for container in pod.spec["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(name, {})
                if asked := probe.get("httpGet"):
                    assert asked["port"] in ports, pod.owner
                    assert asked["path"].partition("?")[0] in paths[asked["port"]], pod.owner
                    assert probe["timeoutSeconds"] >= 5, "a probe that answers no takes four seconds"
                elif asked := probe.get("tcpSocket"):
                    assert asked["port"] in ports, pod.owner


def test_whatever_runs_on_is_probed(documents):
    for pod in pods(documents):
        if pod.owner.startswith(("Deployment", "StatefulSet")) and pod.component != "operator":
            assert {"livenessProbe", "readinessProbe"} <= set(pod.spec["containers"][0]), pod.owner


def test_what_is_mounted_is_a_volume_and_what_is_a_volume_is_mounted(documents):
    for pod in pods(documents):
        owner = named(documents, *pod.owner.split(" "))
        claims = [one["metadata"]["name"] for one in owner.get("spec", {}).get("volumeClaimTemplates", [])]
        volumes = [volume["name"] for volume in pod.spec["volumes"]]
        mounted = {mount["name"] for one in pod.containers for mount in one["volumeMounts"]}
        assert mounted == {*volumes, *claims}, pod.owner


def test_settings_are_settings(documents, tmp_path):
    """The file, and the environment of every container, read by what reads them there."""
    for pod in pods(documents):
        for container in pod.containers:
            if not container["image"].startswith(OURS) or not container.get("env"):
                continue
            file = tmp_path / "jetpost.toml"
            file.write_text(settings_file(documents))
            variables = {one["name"]: one.get("value", "a text of 16 chars") for one in container["env"]}
            load(file, {**variables, "JETPOST_CONFIG": str(file)})


def test_commands_are_commands(documents, tmp_path):
    campaign = tmp_path / "campaign.toml"
    campaign.touch()
    for pod in pods(documents):
        for container in pod.containers:
            if container["image"].startswith(OURS) and "command" not in container:
                arguments = [str(campaign) if one.startswith("/campaign/") else one for one in container["args"]]
                _parse(COMMANDS, arguments)


def _parse(command, arguments):
    """As the command line would, without running anything. Raises a usage error."""
    while hasattr(command, "commands"):
        command = command.commands[arguments[0]]
        arguments = arguments[1:]
    command.make_context(command.name, list(arguments))


def test_images_are_named_exactly(documents):
    for pod in pods(documents):
        for container in pod.containers:
            assert re.search(r":[\w.-]*\d[\w.-]*$|@sha256:", container["image"]), container["image"]
            assert not container["image"].endswith(":latest")


def test_pods_keep_to_the_restricted_standard(documents, example):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    for pod in pods(documents):
        spec, security = pod.spec, pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (security.get("runAsUser") is None) == (example == "openshift"), pod.owner
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        for container in pod.containers:
            inner = container["securityContext"]
            assert inner["allowPrivilegeEscalation"] is False
            assert inner["readOnlyRootFilesystem"] is True
            assert inner["capabilities"] == {"drop": ["ALL"]}


def test_every_container_says_what_it_needs_at_most(documents):
    for pod in pods(documents):
        for container in pod.containers:
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), pod.owner


def test_nobody_needs_more_than_he_may_have(documents):
    for pod in pods(documents):
        for container in pod.containers:
            needed, most = (container["resources"][kind] for kind in ("requests", "limits"))
            assert all(quantity(needed[what]) <= quantity(most[what]) for what in needed), pod.owner


def test_a_pod_has_time_to_end(documents):
    settings = tomllib.loads(settings_file(documents))
    stop_seconds = settings.get("sender", {}).get("stop_seconds", Settings().sender.stop_seconds)
    (sender,) = [pod for pod in pods(documents) if pod.component == "sender"]
    assert sender.spec["terminationGracePeriodSeconds"] >= stop_seconds + 30


def test_only_those_who_need_a_secret_have_it(documents):
    for pod in pods(documents):
        for container in pod.containers:
            has = {one["name"] for one in container.get("env", [])}
            if pod.component in ("sender", "ingester", "setup", "web"):
                assert "JETPOST_PRODUCER_LINK_SECRET" not in has
            if pod.component in ("producer", "sender", "public", "bounces", "demo", "campaign"):
                assert not has & {"JETPOST_ANALYTICS_CLICKHOUSE_URL", "CLICKHOUSE_PASSWORD"}
            if pod.component != "sender":
                assert not [name for name in has if name.startswith("JETPOST_SENDER_POOLS")]


def test_a_dkim_key_lies_where_the_settings_look_for_it(documents):
    files = [Path(found) for found in re.findall(r'= "(/etc/jetpost/files/[^"]+)"', settings_file(documents))]
    mounted = {mount["mountPath"] for pod in pods(documents) for one in pod.containers for mount in one["volumeMounts"]}
    assert {str(file.parent) for file in files} <= mounted
