"""Which of our mails a notice is about, and whether that is proven.

Anybody can write to a return path. What proves that a notice is about a mail of ours is what only its reader and the servers on
the way have seen, and nobody can make: the return path that it was sent to (`events.verp`), or our unsubscribe link in the mail
that it gives back. A Message-ID alone proves nothing: who knows a campaign and an address can compute it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from analytics.bounces.base import Report
from events import ids
from events.tokens import BadToken, Checker
from events.verp import Bounced, VerpChecker

How: TypeAlias = Literal["return_path", "link", "message_id"]

_MESSAGE_ID: Final = re.compile(rf"([a-z2-7]{{{ids.MAIL_ID_LENGTH}}})\.([a-z0-9-]{{1,40}})@")
_TOKEN: Final = re.compile(r"[a-z0-9-]{1,40}\.[a-z2-7]{16}\.[A-Za-z0-9_-]{16}(?![A-Za-z0-9_-])")
_MOST_TOKENS: Final = 8


class Ours(NamedTuple):
    """A mail of ours."""

    campaign: str
    mail_id: str
    how: How

    @property
    def proven(self) -> bool:
        return self.how != "message_id"


def identify(
    report: Report, verp: VerpChecker, links: Checker | None, campaign_of: Callable[[str], str | None]
) -> Ours | None:
    """`campaign_of` gives the campaign of a mark (`events.verp.mark_of`), or None. None: not known to be ours."""
    for bounced in _return_paths(report, verp):
        campaign = campaign_of(bounced.mark)
        if campaign:
            return Ours(campaign, bounced.mail_id, "return_path")
    for token in _tokens(report) if links else ():
        try:
            ticket = links.check(token) if links else None
        except BadToken:
            continue
        if ticket:
            return Ours(ticket.campaign, ticket.mail_id, "link")
    found = _MESSAGE_ID.match(report.returned.message_id)
    return Ours(found[2], found[1], "message_id") if found and ids.is_campaign_id(found[2]) else None


def marks(report: Report, verp: VerpChecker) -> set[str]:
    """Of the campaigns that return paths of ours name, whether there are such campaigns still or not."""
    return {bounced.mark for bounced in _return_paths(report, verp)}


def _return_paths(report: Report, verp: VerpChecker) -> Iterator[Bounced]:
    for address in (*report.sent_to, report.returned.headers.get("return-path", "")):
        bounced = verp.read(address.strip("<> "))
        if bounced is not None:
            yield bounced


def _tokens(report: Report) -> Iterator[str]:
    header = report.returned.headers.get("list-unsubscribe", "")
    for number, match in enumerate(_TOKEN.finditer(header)):
        if number == _MOST_TOKENS:
            return
        yield match[0]
