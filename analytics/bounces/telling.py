"""What a notice tells, in the words that callbacks of ESPs are put into, so that whoever hears those hears notices, too. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from analytics.bounces.base import Notice, Report
from analytics.bounces.correlation import Ours
from analytics.bounces.read import read
from analytics.callbacks.base import Esp, Event, EventName, Request, Secrets, Told, Verdict
from events import ids
from events.addresses import identity

_NO_ABUSE: Final = frozenset({"not-spam", "auth-failure", "dmarc"})
"""Types of feedback that are no complaint of a reader (RFC 5965 §7.3, RFC 6591)."""


NAME: Final = "mail"
"""Stands where the name of an ESP stands."""
_OURS: Final = "x-jetpost-mail"


def headers(ours: Ours) -> dict[str, str]:
    """What goes with a notice to say which mail was proven to be meant."""
    return {_OURS: f"{ours.how} {_reference(ours)}"}


def _tell(request: Request) -> Told:
    """Of a notice that was kept by `analytics.post`."""
    how, _, reference = request.headers.get(_OURS, "").partition(" ")
    mail_id, _, campaign = reference.partition(".")
    if how not in {"return_path", "link"}:
        return Told((), (), 1)
    return Told(events(read(request.body), Ours(campaign, mail_id, "link" if how == "link" else "return_path")))


def _never(_request: Request, _secrets: Secrets) -> Verdict:
    """No stranger brings a notice as if an ESP told it."""
    return "invalid"


ESP: Final = Esp(NAME, _never, _tell)


def events(report: Report, ours: Ours | None) -> tuple[Event, ...]:
    """Of a notice about one mail of ours; nothing for one that is not proven to be about such."""
    return tuple(_events(report, ours)) if ours is not None and ours.proven else ()


def _events(report: Report, ours: Ours) -> Iterator[Event]:
    match report.kind:
        case "bounce" | "delivered":
            if (notice := _about(report, ours)) is not None:
                yield _event(notice, ours)
        case "complaint":
            name = _complaint(report.feedback_type)
            if name is not None:
                yield Event(event=name, reference=_reference(ours), dedupe=f"mail/{name}/{_reference(ours)}")
        case "auto_reply" | "unknown":
            return


def _about(report: Report, ours: Ours) -> Notice | None:
    """A mail of ours has one recipient; a notice may tell of more, or name the address that it was forwarded to."""
    for notice in report.notices:
        if any(_is_to(ours, address) for address in (notice.original, notice.recipient) if address):
            return notice
    return report.notices[0] if len(report.notices) == 1 else None


def _is_to(ours: Ours, address: str) -> bool:
    return ids.mail_id(ours.campaign, identity(address)) == ours.mail_id


def _event(notice: Notice, ours: Ours) -> Event:
    name: EventName = (
        "bounced" if notice.action == "failed" else "deferred" if notice.action == "delayed" else "delivered"
    )
    known = [address for address in (notice.original, notice.recipient) if address and _is_to(ours, address)]
    return Event(
        event=name,
        recipient=known[0] if known else "",
        reference=_reference(ours),
        bounce=("hard" if notice.hard else "soft") if name == "bounced" else None,
        code=notice.code,
        enhanced=notice.status,
        text=notice.text,
        dedupe=f"mail/{name}/{_reference(ours)}/{notice.code}/{notice.status}",
    )


def _complaint(kind: str) -> EventName | None:
    if kind == "opt-out":
        return "unsubscribed"
    return None if kind in _NO_ABUSE else "complained"


def _reference(ours: Ours) -> str:
    return f"{ours.mail_id}.{ours.campaign}"
