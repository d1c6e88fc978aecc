"""The alerts and the Grafana dashboard that come with the chart, held against a real Prometheus and the real metrics."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import prometheus
import pytest
import pytest_asyncio
import yaml

from jetpost import metrics

REPOSITORY = Path(__file__).parents[2]
FILES = REPOSITORY / "helm" / "files"
ALERTS = FILES / "alerts.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())
CHILD = Path(__file__).with_name("metrics_child.py")
SCRAPES = 5


def queries():
    """Every query of the dashboard, as Grafana would send it for all namespaces, by its panel's title."""
    for panel in DASHBOARD["panels"]:
        for number, target in enumerate(panel.get("targets", [])):
            sent = target["expr"].replace("$namespace", ".*").replace("$__rate_interval", "1m")
            yield pytest.param(sent, id=f"{panel['title']} {number}")


def exposed():
    """The names of all metrics as Prometheus knows them."""
    for found in (*metrics.EXPOSED.values(), metrics.EVERYWHERE):
        for metric in found:
            (family,) = metric.describe()
            yield {"counter": f"{family.name}_total", "histogram": f"{family.name}_bucket"}.get(
                family.type, family.name
            )


def asked():
    """All that alerts and dashboard ask for, as one text."""
    return " ".join([rule["expr"] for rule in RULES] + [query.values[0] for query in queries()])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory, free_port):
    """A Prometheus that has scraped a process with all metrics a few times."""
    prometheus.program("prometheus")
    child = await asyncio.create_subprocess_exec(
        sys.executable, CHILD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        address = (await child.stdout.readline()).decode().strip().removeprefix("http://")
        folder = tmp_path_factory.mktemp("prometheus")
        async with prometheus.running(folder, free_port(), [address], [ALERTS]) as running:
            async with asyncio.timeout(prometheus.ANSWERS_WITHIN_SECONDS):
                while (await running.query("sum(count_over_time(up[1m]))") or [({}, 0)])[0][1] < SCRAPES:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)  # scrapes are told to nobody
            yield running
    finally:
        child.stdin.close()
        await child.wait()


@pytest.mark.parametrize("query", list(queries()))
@pytest.mark.asyncio(loop_scope="module")
async def test_every_query_of_the_dashboard_finds_something(server, query):
    assert await server.query(query), query


@pytest.mark.asyncio(loop_scope="module")
async def test_prometheus_evaluates_every_alert(server):
    async with asyncio.timeout(prometheus.ANSWERS_WITHIN_SECONDS):
        while any(rule["health"] == "unknown" for rule in await rules_of(server)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # evaluations are told to nobody
    found = await rules_of(server)
    assert {rule["name"] for rule in found} == {rule["alert"] for rule in RULES}
    assert [rule["lastError"] for rule in found if rule["health"] != "ok"] == []


async def rules_of(server):
    return [rule for group in (await server.ask("rules"))["groups"] for rule in group["rules"]]


def test_alerts_speak_when_they_should_and_are_silent_otherwise(tmp_path):
    """tests/data/alerts_test.yaml, by promtool."""
    shutil.copy(ALERTS, tmp_path)
    shutil.copy(REPOSITORY / "tests" / "data" / "alerts_test.yaml", tmp_path)
    told = subprocess.run(
        [prometheus.program("promtool"), "test", "rules", "alerts_test.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_is_tested_speaking():
    tests = yaml.safe_load((REPOSITORY / "tests" / "data" / "alerts_test.yaml").read_text())["tests"]
    spoken = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert spoken == {rule["alert"] for rule in RULES}


def test_each_metric_is_on_the_dashboard_or_in_an_alert():
    text = asked()
    assert [name for name in exposed() if not re.search(rf"\b{name}\b", text)] == []


def test_alerts_and_dashboard_ask_for_metrics_that_exist():
    known = set(exposed()) | {f"{name.removesuffix('_bucket')}_count" for name in exposed()}
    known |= {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    named = set(re.findall(r"\b([a-z]+(?:_[a-z]+)+)\s*(?:\{|\[|\)| offset| /| ==| <)", asked()))
    functions = {"histogram_quantile", "failure_class"}
    assert named - functions - known == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_to_do_and_has_its_chapter_in_the_runbooks(rule):
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert f"## {rule['alert']}\n" in (REPOSITORY / page).read_text()
