"""Faults of the server that mails are handed to, at random mails all the time."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.chaos.fault import Fault
from jetpost.simulator.settings import Faults

RARELY: Final = 0.004
SELDOM: Final = 0.001
"""For what keeps a connection waiting for its timeout."""


def _relay(name: str, what: str, faults: Faults, **more: Any) -> Fault:  # noqa: ANN401 - fields of Fault
    return Fault(name, what, smtp=faults, doubts="struck", **more)


FAULTS: Final = (
    _relay("smtp-421", "the relay answers 421 and closes", Faults(shut_down=RARELY)),
    _relay("smtp-drop-early", "connections drop before the message", Faults(drop_before_message=RARELY)),
    _relay("smtp-drop", "connections drop at the final dot, mail not taken", Faults(drop_before_accepting=RARELY)),
    _relay("smtp-drop-taken", "connections drop at the final dot, mail taken", Faults(drop_after_accepting=RARELY)),
    _relay("smtp-hang", "the relay hangs at the final dot, mail not taken", Faults(hang=SELDOM)),
    _relay(
        "smtp-hang-taken", "the relay takes mails and never answers (RFC 1047)", Faults(hang_after_accepting=SELDOM)
    ),
    _relay(
        "smtp-hang-again",
        "the same under `at_least_once`",
        Faults(hang_after_accepting=SELDOM),
        policy="at_least_once",
    ),
    _relay("smtp-half-close", "the relay half-closes at the final dot", Faults(half_close=RARELY)),
    _relay("smtp-garbage", "the relay answers the final dot with garbage", Faults(garbage=RARELY)),
)
