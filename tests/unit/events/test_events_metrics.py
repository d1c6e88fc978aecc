"""Metrics that are moved in bulk end where single steps lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram

from events.metrics import BulkHistogram, replace_all

BOUNDS = (0.1, 1, 10, 100)


def samples(histogram):
    return [
        (s.name, s.labels, s.value)
        for family in histogram.collect()
        for s in family.samples
        if not s.name.endswith("_created")
    ]


@given(values=st.lists(st.one_of(st.sampled_from(BOUNDS), st.integers(0, 200)), max_size=50))
def test_many_values_at_once_are_counted_like_one_by_one(values):
    one = Histogram("h", "h", ["lane"], buckets=BOUNDS, registry=CollectorRegistry())
    bulk = BulkHistogram("h", "h", ["lane"], buckets=BOUNDS, registry=CollectorRegistry())
    for value in values:
        one.labels("a").observe(value)
    half = len(values) // 2
    bulk.labels("a").observe_all(values[:half])
    bulk.labels("a").observe_all(values[half:])
    for (name, labels, expected), (_, _, value) in zip(samples(one), samples(bulk), strict=bool(values)):
        assert value == pytest.approx(expected), (name, labels)


def test_values_that_are_replaced_show_what_is_new_and_nothing_of_before():
    registry = CollectorRegistry()
    gauge = Gauge("depth", "For this test", ["pool", "provider"], registry=registry)

    def shown():
        (family,) = gauge.collect()
        return {tuple(sample.labels.values()): sample.value for sample in family.samples}

    replace_all(gauge, {("main", "gmail"): 2, ("main", "yahoo"): 3})
    assert shown() == {("main", "gmail"): 2, ("main", "yahoo"): 3}
    replace_all(gauge, {("main", "yahoo"): 1, ("other", "gmail"): 4})
    assert shown() == {("main", "yahoo"): 1, ("other", "gmail"): 4}
    replace_all(gauge, {})
    assert shown() == {}
