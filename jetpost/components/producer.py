"""The producer process."""

from __future__ import annotations

import time

from events.suppression import Hashing
from jetpost.process import Process
from producer import worker


async def run(process: Process) -> None:
    """Render the mails of waiting batches and queue them, until told to stop."""
    hashing = Hashing(process.settings.suppression.hash_secret)
    process.announce()
    await worker.run(process.bus, process.settings.producer, clock=time.time, stop=process.stop, hashing=hashing)
