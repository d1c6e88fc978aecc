"""How a process tells its supervisor that it works, and how it learns that the supervisor is gone.

The supervisor passes two pipe ends: on one the process says once, as a JSON line, that it is ready and under which
addresses; the other stays open as long as the supervisor lives, so that its end is seen even after `kill -9`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from typing import Final

READY_VARIABLE: Final = "JETPOST_READY_FD"
LIFELINE_VARIABLE: Final = "JETPOST_LIFELINE_FD"
VARIABLES: Final = (READY_VARIABLE, LIFELINE_VARIABLE)


def announce(addresses: Mapping[str, str]) -> None:
    """Say that this process is ready; does nothing where nobody supervises it, nor the second time."""
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if descriptor:
        with contextlib.suppress(BrokenPipeError), os.fdopen(int(descriptor), "w") as pipe:
            pipe.write(json.dumps(dict(addresses)) + "\n")


def stop_without_supervisor(stop: asyncio.Event) -> None:
    """Set `stop` when the supervisor's end of the lifeline closes; does nothing where nobody supervises."""
    descriptor = os.environ.pop(LIFELINE_VARIABLE, "")
    if not descriptor:
        return
    lifeline = int(descriptor)
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(lifeline)
        os.close(lifeline)
        stop.set()

    loop.add_reader(lifeline, ended)
