"""Ctrl-C for commands that run other processes: everything is stopped in order, once."""

from __future__ import annotations

import asyncio
import signal


def cancel_on_signals(task: asyncio.Task[object] | None) -> None:
    """SIGINT and SIGTERM end it at any moment, also while it is starting; once is enough, so that stopping is in order."""
    asked = False

    def once() -> None:
        nonlocal asked
        if task and not asked:
            asked = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, once)
