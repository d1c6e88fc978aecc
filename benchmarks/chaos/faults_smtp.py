"""Faults of the server that mails are handed to, at random mails all the time."""

from __future__ import annotations

from typing import Final

from benchmarks.chaos.fault import Fault
from jetpost.simulator.settings import Faults

RARELY: Final = 0.004
SELDOM: Final = 0.003
"""For what keeps a connection waiting for its timeout."""


_TAKEN_IN_SILENCE: Final = Faults(hang_after_accepting=SELDOM)

FAULTS: Final = (
    Fault("smtp-421", "the relay answers 421 and closes", smtp=Faults(shut_down=RARELY)),
    Fault("smtp-drop-early", "connections drop before the message", smtp=Faults(drop_before_message=RARELY)),
    *(
        Fault(name, what, smtp=faults, doubts="struck")
        for name, what, faults in (
            ("smtp-drop", "connections drop at the final dot, mail not taken", Faults(drop_before_accepting=RARELY)),
            ("smtp-drop-taken", "connections drop at the final dot, mail taken", Faults(drop_after_accepting=RARELY)),
            ("smtp-hang", "the relay hangs at the final dot, mail not taken", Faults(hang=SELDOM)),
            ("smtp-hang-taken", "the relay takes mails and never answers (RFC 1047)", _TAKEN_IN_SILENCE),
            ("smtp-half-close", "the relay half-closes at the final dot", Faults(half_close=RARELY)),
            ("smtp-garbage", "the relay answers the final dot with garbage", Faults(garbage=RARELY)),
        )
    ),
    Fault(
        "smtp-hang-again",
        "the same silence under `at_least_once`",
        smtp=_TAKEN_IN_SILENCE,
        doubts="struck",
        policy="at_least_once",
    ),
)
