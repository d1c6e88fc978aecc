"""Reads bounce mail from a folder on an IMAP server, in turns: some mails are fetched, taken, and put away.

A mail is put away when it is on the bus. Who dies in between leaves it to be read again, and it is known again by its id, as any
repetition is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from analytics.errors import MailboxAway, MailboxRefused
from analytics.post.mailbox import Mailbox
from analytics.post.settings import ImapSettings
from events.errors import BusError
from events.patience import Patience, Stopped, sleep

Take = Callable[[list[str], bytes], Awaitable[object]]

MAILS_AT_ONCE: Final = 50
"""Each of up to 256 KB in memory; over a far connection a turn of three commands costs as much as for one mail."""
_MOST_TRIES: Final = 4
"""For a mail; the first one together with others."""
_LONGEST_AWAY_SECONDS: Final = 60.0
_REFUSED_SECONDS: Final = 300.0
"""Servers lock out who comes with a wrong password too often."""

_log = logging.getLogger(__name__)


async def run(
    settings: ImapSettings, most_bytes: int, take: Take, stop: asyncio.Event, *, away_seconds: float = 1.0
) -> None:
    """Look until `stop` is set. While the server is away it is waited for, `away_seconds` at first.

    Raises `MailboxRefused` where it never worked: then a setting is wrong.
    """
    with contextlib.suppress(Stopped):
        await _Reader(settings, most_bytes, take, stop, away_seconds).run()


class _Reader:
    def __init__(
        self, settings: ImapSettings, most_bytes: int, take: Take, stop: asyncio.Event, away_seconds: float
    ) -> None:
        self._settings = settings
        self._most_bytes = most_bytes
        self._take = take
        self._stop = stop
        self._ever = False
        """It has worked in some session."""
        self._stumbled: Counter[int] = Counter()
        """By UID, how often a mail could not be fetched."""
        self._away = self._patience(away_seconds, _LONGEST_AWAY_SECONDS)
        self._refused = self._patience(_REFUSED_SECONDS, _REFUSED_SECONDS)

    def _patience(self, first_seconds: float, longest_seconds: float) -> Patience:
        told_as = f"reading {self._settings.folder} on {self._settings.host}"
        return Patience("imap", first_seconds, longest_seconds=longest_seconds, stop=self._stop, told_as=told_as)

    async def run(self) -> None:
        """Raises `Stopped`, too."""
        while not self._stop.is_set():
            try:
                await self._session()
            except MailboxAway as error:
                await self._away.wait(error)
            except MailboxRefused as error:
                if not self._ever:
                    raise
                await self._refused.wait(error)

    async def _session(self) -> None:
        """Until `stop` is set, or the session ends otherwise after it worked: servers end sessions as they like."""
        mailbox = await asyncio.to_thread(Mailbox.open, self._settings)
        rounds = 0
        try:
            while not self._stop.is_set():
                await self._round(mailbox)
                rounds += 1
                self._works()
                await sleep(self._settings.every_seconds, self._stop)
        except MailboxAway as error:
            if not rounds:
                raise
            _log.info("the session ended: %s", error)
        finally:
            await asyncio.to_thread(mailbox.close)

    def _works(self) -> None:
        if not self._ever:
            _log.info("reading bounce mail in %s on %s", self._settings.folder, self._settings.host)
        self._ever = True
        self._away.succeeded()
        self._refused.succeeded()

    async def _round(self, mailbox: Mailbox) -> None:
        """Everything that waits; less where a mail cannot be kept now."""
        while uids := await asyncio.to_thread(mailbox.waiting):
            if not await self._read(mailbox, uids):
                return

    async def _read(self, mailbox: Mailbox, uids: list[int]) -> bool:
        """Whether there may be more to read now."""
        read = 0
        for some in self._turns(uids):
            if self._stop.is_set():
                return False
            mails = await self._fetch(mailbox, some)
            kept = await self._keep(mails)
            if kept:
                await asyncio.to_thread(mailbox.settle, kept)
            if len(kept) < len(mails):
                return False
            read += len(kept)
        return read > 0

    def _turns(self, uids: list[int]) -> Iterator[list[int]]:
        """Mails that are fetched together; those that something went wrong with come last, each alone, and not for ever."""
        sound = [uid for uid in uids if uid not in self._stumbled]
        for first in range(0, len(sound), MAILS_AT_ONCE):
            yield sound[first : first + MAILS_AT_ONCE]
        for uid in uids:
            if 0 < self._stumbled[uid] < _MOST_TRIES:
                yield [uid]

    async def _fetch(self, mailbox: Mailbox, uids: list[int]) -> dict[int, bytes]:
        """There are mails that a server cannot read itself: no other must wait for them."""
        try:
            mails = await asyncio.to_thread(mailbox.fetch, uids, self._most_bytes)
        except MailboxAway as error:
            self._stumbled.update(uids)
            if len(uids) == 1 and self._stumbled[uids[0]] == _MOST_TRIES:
                _log.error("mail %d stays in %s unread: %s", uids[0], self._settings.folder, error)
            raise
        for uid in uids:
            del self._stumbled[uid]
        return mails

    async def _keep(self, mails: dict[int, bytes]) -> list[int]:
        """Take mails, all at a time; the UIDs of those that were."""
        results = await asyncio.gather(*(self._take([], raw) for raw in mails.values()), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BusError):
                raise result
        if errors := [result for result in results if isinstance(result, BusError)]:
            _log.warning("%d mails stay in %s for now: %s", len(errors), self._settings.folder, errors[0])
        return [uid for uid, result in zip(mails, results, strict=True) if not isinstance(result, BusError)]
