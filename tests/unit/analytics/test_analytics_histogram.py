import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import histogram

LATENCIES = st.lists(st.floats(0.001, 100_000), min_size=1, max_size=50)


def counted(latencies):
    counts = {}
    for seconds in latencies:
        bucket = histogram.bucket_of(seconds)
        counts[bucket] = counts.get(bucket, 0) + 1
    return counts


@given(st.floats(0.002, 600_000))
def test_a_bucket_holds_what_is_above_the_previous_bound_and_up_to_its_own(seconds):
    bucket = histogram.bucket_of(seconds)
    assert histogram.upper_bound(bucket - 1) * (1 - 1e-9) < seconds <= histogram.upper_bound(bucket) * (1 + 1e-9)


@pytest.mark.parametrize(("seconds", "bucket"), [(0, -80), (-5, -80), (1e-9, -80), (1, 0), (2, 8), (1e12, 160)])
def test_extremes_go_to_the_outermost_buckets(seconds, bucket):
    assert histogram.bucket_of(seconds) == bucket


@given(LATENCIES, st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_a_quantile_is_within_one_bucket_of_the_true_one(latencies, q):
    true = sorted(latencies)[max(0, math.ceil(q * len(latencies)) - 1)]
    assert histogram.quantile(counted(latencies), q) == pytest.approx(true, rel=0.095)


def test_without_counts_a_quantile_is_zero():
    assert histogram.quantile({}, 0.5) == 0


@given(LATENCIES)
def test_doubling_buckets_keep_the_total_and_have_no_gaps(latencies):
    buckets = histogram.doubling(counted(latencies))
    assert sum(count for _, count in buckets) == len(latencies)
    assert all(upper == 2 * lower for (lower, _), (upper, _) in itertools.pairwise(buckets))


def test_doubling_bounds_include_their_own_value():
    assert histogram.doubling(counted([1.0, 1.01, 2.0])) == [(1.0, 1), (2.0, 2)]


def test_nothing_has_no_buckets():
    assert histogram.doubling({}) == []
