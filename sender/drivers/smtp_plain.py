"""An SMTP session of one command at a time, by aiosmtplib alone: for servers without PIPELINING, for those that misbehave
with it, and as the reference that the pipelined session is compared with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from aiosmtplib import SMTP, SMTPException

from events.metrics import SMTP_TRANSACTION_SECONDS
from sender.drivers import smtp_outcomes, smtp_wire
from sender.drivers.base import Accepted, NotTried, Outbound, Outcome, Reply, Unknown
from sender.drivers.smtp_connect import QUIT_SECONDS, TURN_SECONDS, reply_of
from sender.settings import Relay


class _Refusal(Exception):
    """The server refused a command of the envelope."""

    def __init__(self, reply: Reply, *, about_recipient: bool) -> None:
        super().__init__(reply.text)
        self.reply = reply
        self.about_recipient = about_recipient


class PlainDriver:
    """One session. A mail costs four round trips."""

    misbehaved = False
    suspect = False

    def __init__(self, smtp: SMTP, relay: Relay, pool: str) -> None:
        self._smtp = smtp
        self._relay = relay
        self._extensions = smtp_wire.extensions_of(smtp.esmtp_extensions)
        self._seconds = SMTP_TRANSACTION_SECONDS.labels(pool)
        self._loop = asyncio.get_running_loop()
        self.broken = ""
        """Why the session cannot be used any more; empty while it can."""
        self._carried = 0
        self._has_taken = False
        """The server accepted a mail on this session."""
        self._in_transaction = False

    @property
    def room(self) -> int:
        return min(self._relay.pipeline_depth, max(1, self._relay.mails_per_connection - self._carried))

    @property
    def usable(self) -> bool:
        """The session is whole and may carry more mails."""
        return not self.broken and self._smtp.is_connected and self._carried < self._relay.mails_per_connection

    async def deliver(self, mails: Sequence[Outbound]) -> list[Outcome]:
        started = self._loop.time()
        outcomes: list[Outcome] = []
        for mail in mails:
            over = not self.broken and self._loop.time() - started > TURN_SECONDS
            outcomes.append(NotTried("the turn was over") if over else await self._deliver_one(mail))
        self._seconds.observe(self._loop.time() - started)
        return outcomes

    async def check(self) -> bool:
        """Whether the server still answers on this session."""
        try:
            await self._say(b"NOOP")
        except (SMTPException, OSError) as error:
            self._break(str(error))
        return self.usable

    async def close(self) -> None:
        if not self.broken and self._smtp.is_connected:
            with suppress(SMTPException, OSError):  # it was to end anyway
                await self._smtp.quit(timeout=QUIT_SECONDS)
        self._smtp.close()

    async def _deliver_one(self, mail: Outbound) -> Outcome:
        if self.broken:
            return NotTried(self.broken)
        try:
            smtp_wire.check(mail, self._extensions)
            await self._envelope(mail)
        except smtp_wire.Unsendable as reason:
            return smtp_outcomes.unsendable(str(reason))
        except _Refusal as refusal:
            return self._refused(mail, refusal)
        except (SMTPException, OSError) as error:
            return self._broken_before_message(str(error))
        except asyncio.CancelledError:
            self._break("cancelled")
            raise
        return await self._message(mail)

    async def _envelope(self, mail: Outbound) -> None:
        """Raises `_Refusal` where the server says no to anything, the message not having been sent."""
        if self._in_transaction:
            await self._say(b"RSET")
            self._in_transaction = False
        parameters = smtp_wire.mail_parameters(mail, self._extensions)
        await self._insist(f"MAIL FROM:<{mail.return_path}>{parameters}".encode(), 200, about_recipient=False)
        self._in_transaction = True
        await self._insist(f"RCPT TO:<{mail.recipient}>".encode(), 200)
        await self._insist(b"DATA", 354)

    async def _message(self, mail: Outbound) -> Outcome:
        self._in_transaction = False
        protocol = self._smtp.protocol
        if protocol is None:
            return self._broken_before_message("the connection is closed")
        try:
            protocol.write(smtp_wire.dot_stuffed(smtp_wire.with_crlf(mail.message)) + smtp_wire.END)
            response = await protocol.read_response(self._relay.data_timeout_seconds)
        except (SMTPException, OSError) as error:
            self._break(str(error))
            return Unknown(str(error))
        except asyncio.CancelledError:
            self._break("cancelled")
            raise
        reply = reply_of(response.code, response.message)
        if reply.code == 421:
            self._break(reply.text)
        self._carried += 1
        if reply.code < 300:
            self._has_taken = True
            return Accepted(reply, time.time())
        return smtp_outcomes.refused(mail, reply, about_recipient=True)

    async def _insist(self, command: bytes, wanted: int, *, about_recipient: bool = True) -> None:
        reply = await self._say(command)
        if reply.code // 100 != wanted // 100 or (wanted == 354 and reply.code != 354):
            raise _Refusal(reply, about_recipient=about_recipient)

    async def _say(self, command: bytes) -> Reply:
        response = await self._smtp.execute_command(command, timeout=self._relay.command_timeout_seconds)
        return reply_of(response.code, response.message)

    def _refused(self, mail: Outbound, refusal: _Refusal) -> Outcome:
        reply = refusal.reply
        if self._has_taken and not refusal.about_recipient and smtp_outcomes.used_up(reply):
            self._break(f"the session is used up: {reply.text}")
            return NotTried(self.broken)
        if reply.code == 421:
            self._break(f"the server closed the session: {reply.text}")
            if not refusal.about_recipient and self._carried:
                return NotTried(self.broken)
        self._carried += 1
        return smtp_outcomes.refused(mail, reply, refusal.about_recipient)

    def _broken_before_message(self, reason: str) -> Outcome:
        self._break(reason)
        return NotTried(reason) if self._carried else smtp_outcomes.broken(reason)

    def _break(self, reason: str) -> None:
        self.broken = reason
        self._smtp.close()
