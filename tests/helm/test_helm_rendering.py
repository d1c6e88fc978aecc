"""The chart renders, says what is wrong with values, and holds what other files say, too."""

import json
import re

import pytest
import yaml
from config_schema import FILE, with_config
from tools import Helm
from typer.testing import CliRunner

from jetpost import cli, examples, version

CHART = Helm.chart
DEMO_POOL = "config.sender.pools.main.host=smtp.example.com"


def test_helm_finds_nothing_wrong(helm, example):
    done = helm.run("lint", "--strict", CHART, "-f", CHART / "examples" / f"{example}.yaml")
    assert done.returncode == 0, done.stdout


def test_the_same_values_give_the_same_manifests_but_for_the_secret_that_is_made(helm):
    def without_secret(text: str) -> list[str]:
        return [one for one in text.split("\n---\n") if "kind: Secret" not in one]

    assert without_secret(helm.template()) == without_secret(helm.template())


def test_the_chart_is_of_this_release():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version.VERSION


def test_the_schema_knows_every_setting():
    text = FILE.read_text("utf-8")
    assert with_config(text) == text, "run: python tests/helm/config_schema.py"


def test_every_value_has_a_place_in_the_schema():
    """Nothing but what Kubernetes itself reads is left open."""
    schema = json.loads(FILE.read_text("utf-8"))
    assert list(_unknown(yaml.safe_load((CHART / "values.yaml").read_text()), schema, schema)) == []


def _unknown(values, schema, root, path=()):
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    if isinstance(values, dict) and schema.get("additionalProperties") is False:
        for key, value in values.items():
            if key not in schema["properties"]:
                yield (*path, key)
            else:
                yield from _unknown(value, schema["properties"][key], root, (*path, key))


def test_accounts_of_nats_are_those_that_the_command_prints():
    said = CliRunner().invoke(cli.app, ["permissions"]).output
    assert (CHART / "files" / "nats-accounts.conf").read_text() == said, (
        "run: jetpost permissions > helm/files/nats-accounts.conf"
    )


def test_the_first_campaign_is_the_example():
    assert (CHART / "files" / "demo" / "newsletter.html").read_bytes() == (
        examples.folder("newsletter") / "newsletter.html"
    ).read_bytes()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("foo=1", "additional properties 'foo' not allowed"),
        ("sender.replica=2", "additional properties 'replica' not allowed"),
        ("sender.replicas=two", "at '/sender/replicas': got string, want integer"),
        ("sender.autoscaling.mode=hpa", "value must be one of 'none', 'keda', 'cpu'"),
        ("nats.maxFile=10Gi", "at '/nats/maxFile'"),
        ("nats.external.url=example.com", "at '/nats/external/url'"),
        ("demo.enabled=yes", "value must be one of 'auto', true, false"),
        ("config.web.port=http", "at '/config/web/port': got string, want integer"),
        ("config.web.prot=80", "at '/config/web': additional properties 'prot' not allowed"),
        ("config.sender.pools.My_Pool.host=x", "additional properties 'My_Pool' not allowed"),
        ("config.nats.url=nats://x", "set nats.external.url in place of config.nats.url"),
        ("config.sender.pools.main.password=x", "give it in a Secret, named by secrets.settings"),
        ("config.producer.link_secret=x", "give it in the Secret of secrets.existingSecret"),
        ("image.tag=latest", "jetpost/jetpost is latest: name a release"),
        ("nats.image.tag=latest", "nats is latest: name a release"),
        ("nats.enabled=false", "nats.external.url must be set where nats.enabled is false"),
        ("nats.replicas=2", "two servers have no majority"),
        ("config.nats.replicas=3", "config.nats.replicas is 3, and there are only 1 servers"),
        ("nats.tls.enabled=true", "set nats.tls.existingSecret, or nats.tls.certManager.enabled"),
        ("clickhouse.enabled=false", "clickhouse.external.url or clickhouse.external.urlSecret must be set"),
        ("clickhouse.external.url=http://me:secret@host", "must not hold a password"),
        ("clickhouse.user=default", "clickhouse.user must not be default"),
        ("config.analytics.clickhouse.replicated=true", "the ClickHouse of this chart is one server"),
        ("demo.enabled=false", "config.sender.pools names no pool, and demo.enabled is false"),
        ("sender.terminationGracePeriodSeconds=40", "must exceed config.sender.stop_seconds, 50"),
        ("sender.autoscaling.minReplicas=20", "minReplicas is 20, and maxReplicas 10"),
        ("sender.autoscaling.mode=cpu,sender.autoscaling.minReplicas=0", "must be 1 at least with mode cpu"),
        ("public.ingress.enabled=true", "public.ingress.host must be set"),
        ("web.gateway.enabled=true", "web.gateway.parentRefs must name a Gateway"),
        ("campaigns.sale.file=x.toml", "campaigns.sale.volume must say where the campaign file is"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_do(helm, value, said):
    assert said in helm.refusal("--set", value)


def test_a_secret_setting_that_nobody_reads_is_refused(helm):
    setting = r"secrets.settings.log\.password"
    assert "log.password is none of the secret settings" in helm.refusal("--set", f"{setting}.name=a,{setting}.key=b")


def test_secrets_that_are_there_are_kept_and_a_first_install_has_new_ones_for_nats_to_read(helm):
    """nats-server reads variables like its configuration: a password that begins with a digit might be a number."""
    text = helm.template("-s", "templates/secret.yaml")
    (document,) = yaml.safe_load_all(text)
    assert document["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert len(document["data"]) == 14
    assert len(set(document["data"].values())) == 14
    again = yaml.safe_load(helm.template("-s", "templates/secret.yaml"))
    assert not set(document["data"].values()) & set(again["data"].values())
    assert helm.run(
        "template", "jetpost", CHART, "-s", "templates/secret.yaml", "--set", "secrets.existingSecret=x"
    ).returncode


def test_a_hook_migrates_with_the_settings_that_come(helm):
    documents = list(yaml.safe_load_all(helm.template("-s", "templates/setup.yaml", "--set", "setup.hook=true")))
    assert [one["metadata"]["annotations"]["helm.sh/hook"] for one in documents] == ["post-install,pre-upgrade"] * 2
    assert (
        documents[1]["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == documents[0]["metadata"]["name"]
    )


def test_a_job_whose_template_changes_is_another_job(helm):
    def names(*arguments: str) -> set[str]:
        return set(re.findall(r"name: (jetpost-(?:setup|demo)-\w{8})$", helm.template(*arguments), re.MULTILINE))

    assert names() == names("--set", "producer.replicas=5")
    assert not names() & names("--set", "image.tag=another")


def test_pools_of_yours_end_the_demo(helm):
    text = helm.template("--set", DEMO_POOL)
    assert "simulator" not in text
    assert "transient_base_seconds" not in text


def values_in_the_guide() -> list[str]:
    """Blocks of YAML that are values of the chart, and of nothing else."""
    known = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    guide = (CHART.parent / "docs" / "kubernetes.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    return [block for block in blocks if all(set(one) <= known for one in yaml.safe_load_all(block))]


@pytest.mark.parametrize("values", values_in_the_guide())
def test_values_in_the_guide_are_taken(helm, values, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(values)
    helm.template("-f", file)


def test_the_guide_has_values():
    assert len(values_in_the_guide()) >= 7


def test_names_stay_within_what_kubernetes_allows(helm):
    """63 characters, and 52 for a CronJob, whose Jobs have a number at the end."""
    values = ("--set", f"fullnameOverride={'j' * 60}", "--set", f"campaigns.{'c' * 20}.volume.configMap.name=x")
    for document in yaml.safe_load_all(helm.template(*values)):
        assert len(document["metadata"]["name"]) <= (52 if document["kind"] == "CronJob" else 63)
