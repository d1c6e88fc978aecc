"""The sender process."""

from __future__ import annotations

import time

from events.suppression import Hashing
from jetpost.process import Process
from sender import worker
from sender.dkim import signing
from sender.drivers.smtp_pool import SmtpPool


async def run(process: Process) -> None:
    """Deliver queued mails to the relays of the pools, until told to stop."""
    signing.require_usable(process.settings.sender.dkim)
    hashing = Hashing(process.settings.suppression.hash_secret)
    process.announce()
    await worker.run(
        process.bus, process.settings.sender, SmtpPool, clock=time.time, stop=process.stop, hashing=hashing
    )
