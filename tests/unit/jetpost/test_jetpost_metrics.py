"""Which process exposes which metrics."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from events import metrics as ours
from jetpost import metrics

ROOT = Path(__file__).parents[3]
ALL = {name: value for name, value in vars(ours).items() if isinstance(value, MetricWrapperBase)}
SOURCES = {
    "producer": list((ROOT / "producer").rglob("*.py")),
    "sender": list((ROOT / "sender").rglob("*.py")),
    "ingester": [f for f in (ROOT / "analytics").rglob("*.py") if not {"web", "post"} & set(f.parts)],
    "bounces": list((ROOT / "analytics" / "post").rglob("*.py")),
    "web": list((ROOT / "analytics" / "web").rglob("*.py")),
}


def test_every_metric_is_exposed_by_exactly_one_component_or_by_all():
    exposed = [*metrics.EVERYWHERE, *(metric for of_one in metrics.EXPOSED.values() for metric in of_one)]
    assert sorted(exposed, key=id) == sorted(ALL.values(), key=id)


@pytest.mark.parametrize("component", metrics.EXPOSED)
def test_a_component_moves_what_it_exposes(component):
    text = "\n".join(file.read_text() for file in SOURCES[component])
    moved = {metric for name, metric in ALL.items() if re.search(rf"\b{name}\b", text)}
    assert set(metrics.EXPOSED[component]) <= moved


def test_a_process_shows_its_own_metrics_and_those_of_any_process():
    shown = generate_latest(metrics.registry("web", "ingester")).decode()
    assert "\nretry_queue_size " in shown
    assert "process_resident_memory_bytes" in shown
    assert "dlq_size" not in generate_latest(metrics.registry("sender")).decode()
