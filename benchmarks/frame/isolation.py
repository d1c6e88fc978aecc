"""Work in a process of its own: what it takes in memory, and what it imports, is not ours."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from rich.console import Console

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_WIDTH = 140
"""Where the output goes to a file."""


def apart(work: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
    """What `work` returns. It must be a function of a module, and take and return what can be pickled.

    Ends us, too, where it ends without a result: it has said why. Where we are ended, it is asked to end, and waited for.
    """
    spawning = multiprocessing.get_context("spawn")
    answer, answering = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_work, args=(answering, work, arguments, named))
    process.start()
    answering.close()
    try:
        result: Result = answer.recv()
    except EOFError:
        raise SystemExit(1) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    return result


def _work(answering: Connection, work: Callable[..., object], arguments: Any, named: Any) -> None:  # noqa: ANN401
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what it started ends, too
    answering.send(work(*arguments, **named))


def console() -> Console:
    """Where this process prints."""
    found = Console(highlight=False, emoji=False)
    if not found.is_terminal:
        found.width = _WIDTH
    return found
