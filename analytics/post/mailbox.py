"""One folder on an IMAP server: which mails wait in it, how they begin, and how they are put away.

The calls block and are meant for a thread, one at a time. Each may raise `MailboxAway`: then this session is over, and nothing
was lost.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, TypeAlias

from analytics.errors import MailboxAway, MailboxRefused
from analytics.post.imap_connect import connect, hang_up, quoted, refusal, told
from analytics.post.settings import ImapSettings

_SEARCHED_AT_ONCE: Final = 50_000
"""Mails; the numbers of many more would not fit into the longest line that imaplib takes, a million bytes."""
_UID: Final = re.compile(rb"\bUID (\d+)", re.IGNORECASE)
_EMPTY: Final = re.compile(rb'BODY\[\](?:<0>)? (?:""|NIL)', re.IGNORECASE)

_Given: TypeAlias = list[Any]
"""Lines, as bytes, and pairs of bytes: a line and the data behind it."""


class Mailbox:
    def __init__(self, client: imaplib.IMAP4, settings: ImapSettings) -> None:
        self._client = client
        self._settings = settings
        self._folder = quoted(settings.folder)
        self._target = quoted(settings.move_to)
        self._can: frozenset[str] = frozenset()

    @staticmethod
    def open(settings: ImapSettings) -> Mailbox:
        """Raises also `MailboxRefused`, where a person must mend something; it says what."""
        with told(settings):
            mailbox = Mailbox(connect(settings), settings)
            try:
                mailbox._prepare()
            except BaseException:
                hang_up(mailbox._client)
                raise
            return mailbox

    def close(self) -> None:
        """Whatever state it is in."""
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self._client.logout()
        hang_up(self._client)

    def waiting(self) -> list[int]:
        """The UIDs of mails that were not read, the oldest first; of very many not all. Empty: there is none."""
        unread = ("UNSEEN",) if self._settings.after == "seen" else ()
        with told(self._settings):
            number = self._count()
            for first in range(1, number + 1, _SEARCHED_AT_ONCE):
                numbers = f"{first}:{min(number, first + _SEARCHED_AT_ONCE - 1)}"
                found = _given(self._client.uid("SEARCH", numbers, "UNDELETED", *unread))
                if uids := sorted(int(uid) for line in found for uid in line.split()):
                    return uids
            return []

    def fetch(self, uids: Collection[int], most_bytes: int) -> dict[int, bytes]:
        """How mails begin, by UID; without those that are gone. The server cuts them: a bomb stays where it is."""
        with told(self._settings):
            return dict(_mails(_given(self._client.uid("FETCH", _set(uids), f"(UID BODY.PEEK[]<0.{most_bytes}>)"))))

    def settle(self, uids: Collection[int]) -> None:
        """Put away what was read. A mail that is gone meanwhile is no error."""
        with told(self._settings):
            match self._settings.after:
                case "seen":
                    self._flag(uids, r"(\Seen)")
                case "delete":
                    self._delete(uids)
                case "move":
                    self._move(uids)

    def _prepare(self) -> None:
        """The folders are there, and what the server can do is known."""
        offers = _given(self._client.capability())
        self._can = frozenset(b" ".join(offers).decode("ascii", "replace").upper().split())
        self._count()
        if self._settings.after == "move" and self._client.status(self._target, "(UIDNEXT)")[0] != "OK":
            name = self._settings.move_to
            advice = f"the folder {name!r} cannot be made: make it, or set bounces.imap.move_to to another"
            _given(self._client.create(self._target), advice)

    def _count(self) -> int:
        """Mails in the folder. It is selected again each time, so that the server tells of new ones."""
        name = self._settings.folder
        try:
            answer = self._client.select(self._folder)
        except imaplib.IMAP4.readonly as error:
            raise MailboxRefused(
                f"the folder {name!r} can only be read: give {self._settings.username!r} the right to change it, or set"
                " bounces.imap.folder to another"
            ) from error
        counted = _given(
            answer, f"the folder {name!r} cannot be opened: make it, or set bounces.imap.folder to another"
        )
        return int(counted[0]) if counted else 0

    def _move(self, uids: Collection[int]) -> None:
        """RFC 6851; in two steps where the server does not know it."""
        if "MOVE" in self._can:
            _given(self._client.uid("MOVE", _set(uids), self._target))
        else:
            _given(self._client.uid("COPY", _set(uids), self._target))
            self._delete(uids)

    def _delete(self, uids: Collection[int]) -> None:
        """Without UIDPLUS (RFC 4315) what others deleted would go, too: then it stays, marked, and is not read again."""
        self._flag(uids, r"(\Deleted)")
        if "UIDPLUS" in self._can:
            _given(self._client.uid("EXPUNGE", _set(uids)))

    def _flag(self, uids: Collection[int], flags: str) -> None:
        _given(self._client.uid("STORE", _set(uids), "+FLAGS.SILENT", flags))


def _given(answer: tuple[str, _Given], advice: str = "") -> _Given:
    """What the server answered. `advice`: what a person has to do where it says no; without that it is asked again later."""
    kind, given = answer
    if kind == "OK":
        return [one for one in given if one is not None]
    said = " ".join(one.decode("utf-8", "replace") for one in given if isinstance(one, bytes))
    raise refusal(said, advice) if advice else MailboxAway(f"the server says: {said}")


def _set(uids: Collection[int]) -> str:
    return ",".join(map(str, uids))


def _mails(given: _Given) -> Iterator[tuple[int, bytes]]:
    """Of each mail a pair, its first line and the data, and then the line that ends it: either line may have the UID."""
    for place, one in enumerate(given):
        line, data = one if isinstance(one, tuple) else (one, b"")
        behind = given[place + 1] if place + 1 < len(given) else b""
        found = _UID.search(line)
        if isinstance(one, tuple) and not found and isinstance(behind, bytes):
            found = _UID.search(behind)
        if found and (isinstance(one, tuple) or _EMPTY.search(line)):
            yield int(found[1]), data
