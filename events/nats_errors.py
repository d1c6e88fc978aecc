"""What the server and nats-py say went wrong, as errors of ours."""

from __future__ import annotations

import json
from typing import Any, Final

from events import errors

_STREAM_NOT_FOUND: Final = 10059
_CONSUMER_NOT_FOUND: Final = 10014
_PEERS_OFFLINE: Final = 10005
"""The cluster cannot place a stream: too few of its servers are up. While it forms, a moment later there are enough."""
_IN_PROCESS: Final = 10158
"""In a cluster: a message with this id is being stored just now, and whether it will be is not decided yet. Seen where a leader
lost its replicas before it could answer, and the same was published again."""
_FULL: Final = frozenset({10002, 10023, 10047, 10054, 10077, 10122})
"""Error codes with which JetStream refuses to store for want of room: limits of the account, resources, storage, maxima."""


def result_of(answer: bytes, what: str) -> dict[str, Any]:
    """What JetStream's API answered. Raises `BusError` where that is an error; `what` says what was asked."""
    result: dict[str, Any] = json.loads(answer)
    if error := result.get("error"):
        raise from_answer(error, what)
    return result


def from_answer(error: dict[str, Any], what: str) -> errors.BusError:
    """The error for the `error` object of a JetStream answer; `what` says what was asked."""
    code, description = error.get("err_code"), error.get("description", "")
    if code in _FULL:
        return errors.StreamFull(f"JetStream refuses to store more: {description} (error {code})")
    if error.get("code") == 503 or code in {_PEERS_OFFLINE, _IN_PROCESS}:
        return errors.BusUnavailable(f"JetStream is not ready: {description}")
    if code in (_STREAM_NOT_FOUND, _CONSUMER_NOT_FOUND):
        return errors.StreamMissing(f"{what}: {description}; run `jetpost setup`")
    return errors.BusError(f"{what}: {description} (error {code})")
