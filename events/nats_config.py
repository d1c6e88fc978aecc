"""Streams, buckets and consumers as the JetStream API takes them: what of `events.streams` becomes which field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from events import streams, subjects


def stream_config(spec: streams.StreamSpec, replicas: int, timing: streams.Timing) -> dict[str, Any]:
    window = timing.deduplication_seconds
    return {
        "name": spec.name,
        "description": spec.description,
        "subjects": list(spec.subjects),
        "retention": spec.retention,
        "storage": "file",
        "num_replicas": replicas,
        "max_age": _nanoseconds(max(spec.max_age_seconds, window) if spec.max_age_seconds else 0),  # never shorter
        "max_msgs": spec.max_messages,
        "max_bytes": -1,
        "duplicate_window": _nanoseconds(window),
        "allow_direct": True,
        "allow_atomic": True,
        "allow_msg_schedules": spec.schedules,
    }


def bucket_config(name: str, replicas: int) -> dict[str, Any]:
    """The stream behind a key-value bucket, as every NATS client expects it (ADR-8)."""
    shared = _store_config(streams.stream_of_bucket(name), [subjects.keys_of(name)], replicas)
    age = _nanoseconds(streams.BUCKET_AGES.get(name, 0.0))
    return shared | {"max_msgs_per_subject": 1, "deny_delete": True, "max_age": age}


def blobs_config(name: str, replicas: int) -> dict[str, Any]:
    """The stream behind an object store, as every NATS client expects it (ADR-20)."""
    return _store_config(streams.stream_of_store(name), list(subjects.contents_of(name)), replicas)


def _store_config(name: str, subjects: list[str], replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": subjects,
        "storage": "file",
        "num_replicas": replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }


def placement(cluster: str, tags: Sequence[str]) -> dict[str, Any] | None:
    """Where in a cluster of clusters a stream lies (`Placement` of a stream's configuration); None: wherever."""
    return {"cluster": cluster, "tags": list(tags)} if cluster or tags else None


def consumer_config(spec: streams.ConsumerSpec, timing: streams.Timing) -> dict[str, Any]:
    ack_wait = timing.ack_wait_seconds if spec.ack_wait_seconds is None else spec.ack_wait_seconds
    return {
        "durable_name": spec.name,
        **_filters(spec),
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": _nanoseconds(ack_wait),
        "max_deliver": spec.max_deliveries,
        "max_ack_pending": spec.max_ack_pending,
    }


def _filters(spec: streams.ConsumerSpec) -> dict[str, Any]:
    return (
        {"filter_subjects": [spec.filter_subject, *spec.also]} if spec.also else {"filter_subject": spec.filter_subject}
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def suffices(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a stream as the server has it does for a release that wants it so. How long it keeps what, and in how many copies,
    is the operator's."""
    held = set(there.get("subjects") or ())
    promises = ("allow_atomic", "allow_direct", "allow_msg_schedules", "allow_rollup_hdrs")
    return (
        held.issuperset(wanted["subjects"])
        and there.get("retention", "limits") == wanted.get("retention", "limits")
        and there.get("duplicate_window", 0) >= wanted.get("duplicate_window", 0)
        and all(there.get(promise) for promise in promises if wanted.get(promise))
    )
