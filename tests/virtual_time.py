"""An event loop whose time passes at once: what waits for a timer goes on as soon as nothing else is to be done.

    run(main())     as `asyncio.run`, with `asyncio.get_running_loop().time()` from 0

Only for code that waits for timers and for itself: sockets and threads take real time, of which this loop knows nothing.
"""

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if not found:
            self._loop.now += timeout
        return found


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self):
        return self.now


def run(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
