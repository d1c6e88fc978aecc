"""A sender that gives each mail to `aiosmtplib.SMTP.sendmail`, as most programs do: what Jetpost's own transactions are
compared with. Run like `python -m jetpost`:

    python -m benchmarks.e2e.sendmail_sender sender run

Everything else is Jetpost: queue, claims, events. Only for a server that accepts everything: another answer ends the session.
"""

from __future__ import annotations

import time

from jetpost.cli import main
from sender.drivers import smtp_pool
from sender.drivers.base import Accepted, Outbound, Outcome
from sender.drivers.smtp_connect import reply_of
from sender.drivers.smtp_plain import PlainDriver


class SendmailDriver(PlainDriver):
    """One session of aiosmtplib, used through its front door."""

    async def _deliver_one(self, mail: Outbound) -> Outcome:
        _, answer = await self._smtp.sendmail(mail.return_path, [mail.recipient], mail.message)
        self._carried += 1
        return Accepted(reply_of(250, answer), time.time())


if __name__ == "__main__":
    smtp_pool.PlainDriver = SendmailDriver  # type: ignore[misc]
    main()
