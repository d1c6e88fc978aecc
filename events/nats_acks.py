"""JetStream's answers to publishing and to deleting."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from events.nats_errors import from_answer

WRONG_LAST_SEQUENCE: Final = frozenset({10071})
"""Error codes for a message that was to be stored only on top of another one, which is not the newest any more."""
_UNDECIDED: Final = 10164
"""In a cluster: another message under the subject is being stored just now, and whether it will be is not decided yet."""
UNDECIDED_PAUSE_SECONDS: Final = 0.005
"""Before it is asked again; replicas take a few milliseconds."""
NOT_THERE: Final = frozenset({10043, 10057})
"""Error codes for a sequence that was deleted, and for one that never was."""
NO_MESSAGE: Final = frozenset({10037})
"""Error codes for a subject under which nothing lies."""


class PubAck(msgspec.Struct):
    """The answer to a publish, to the last message of a batch, or to a deletion."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


decode = msgspec.json.Decoder(PubAck).decode


def stored(answer: bytes, what: str) -> PubAck:
    """The acknowledgement of what is stored. Raises `BusError`; `what` says what was asked."""
    ack = decode(answer)
    if ack.error is not None:
        raise from_answer(ack.error, what)
    return ack


def is_undecided(ack: PubAck) -> bool:
    """Whether a message that was to be stored only on top of another one was refused because of one that is on its way: ask again
    in a moment."""
    return ack.error is not None and ack.error.get("err_code") == _UNDECIDED


def settled(ack: PubAck, expected: Collection[int], what: str) -> bool:
    """Whether it was done, or refused as is to be expected; raises for what is not."""
    if ack.error is None:
        return True
    if ack.error.get("err_code") in expected:
        return False
    raise from_answer(ack.error, what)
