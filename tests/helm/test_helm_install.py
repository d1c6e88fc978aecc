"""The chart's life in a cluster, by the real helm: installed, upgraded, rolled back, uninstalled, installed again."""

import json

import pytest
from api_server import serving
from tools import Helm

MINIMAL = str(Helm.chart / "examples" / "minimal.yaml")


@pytest.fixture
def cluster(helm, tmp_path, monkeypatch):
    """Runs helm against a server of its own; returns what the server has, too."""
    with serving() as (address, objects):
        contact = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "mail"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(contact))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("HELM_CACHE_HOME", str(tmp_path / "cache"))

        def run(command: str, *arguments: str) -> str:
            done = helm.run(command, "jetpost", *arguments, "--namespace", "mail")
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield run, objects


def install(run, command: str, *values: str) -> str:
    return run(command, str(Helm.chart), "--disable-openapi-validation", *values)


def job(objects, what: str) -> str:
    (name,) = [name for name in objects.names("Job") if name.startswith(f"jetpost-{what}-")]
    return name


def test_a_release_lives_through_upgrades_and_back_and_keeps_its_secrets(cluster):
    run, objects = cluster
    said = install(run, "install")
    assert "kubectl -n mail port-forward svc/jetpost-web 8080:8080" in said
    first = objects.get("Secret", "jetpost-secrets")["data"]
    setup, demo = job(objects, "setup"), job(objects, "demo")

    install(run, "upgrade", "--set", "producer.replicas=2")
    assert (job(objects, "setup"), job(objects, "demo")) == (setup, demo), "nothing changed for them"

    install(run, "upgrade", "-f", MINIMAL, "--set", "image.tag=0.2.0")
    assert job(objects, "setup") != setup
    assert [name for name in objects.names("Deployment") if "simulator" in name] == []
    assert objects.get("Secret", "jetpost-secrets")["data"] == first

    run("rollback", "1")
    assert (job(objects, "setup"), job(objects, "demo")) == (setup, demo)

    run("uninstall")
    assert objects.names("Deployment") == objects.names("Job") == objects.names("ConfigMap") == []
    assert objects.names("Secret") == ["jetpost-secrets"]

    install(run, "install")
    assert objects.get("Secret", "jetpost-secrets")["data"] == first


def test_a_secret_of_an_earlier_release_gets_what_it_lacks(cluster):
    """A user of NATS that is new has a password then, and the others keep theirs."""
    run, objects = cluster
    install(run, "install")
    secret = objects.get("Secret", "jetpost-secrets")
    whole = dict(secret["data"])
    del secret["data"]["nats-operator-password"]

    install(run, "upgrade", "--set", "producer.replicas=2")
    grown = objects.get("Secret", "jetpost-secrets")["data"]
    assert grown.keys() == whole.keys()
    assert [key for key in whole if grown[key] != whole[key]] == ["nats-operator-password"]
