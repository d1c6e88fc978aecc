"""What an ESP's event means for us: the fact to state, or whom to suppress for a mail that is not ours. Pure.

A fact about a mail that was handed over moves nobody in the ledger: what the ESP took stays accepted there, and what became of
it is counted beside it.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, assert_never

from analytics.callbacks.base import Event
from analytics.web.public import visitors
from events import classification, facts
from events.esps import Reference
from events.facts import (
    EmailClicked,
    EmailComplained,
    EmailDelivered,
    EmailOpened,
    EmailResubscribed,
    EmailReturned,
    EmailUnsubscribed,
    Reaction,
    Return,
)
from events.links import Links
from events.replies import Reply
from events.schemas import FailureClass
from events.suppression import Entry, Reason

_LATEST_AHEAD_SECONDS: Final = 3_600.0
_MAX_REPLY: Final = 500
_MAX_URL: Final = 2_000
_CODES: Final = {"4": 450, "5": 550}
"""By the class of an enhanced code (RFC 3463), what stands for a reply code that is not told."""
_ours = re.compile(r"https?://[^/]+(?:/[^?#]*)?/[cou]/[a-z0-9-]+\.[a-z2-7]{16}\.", re.ASCII).match
_half = re.compile(r"[\ud800-\udfff]")
"""Half a character, which JSON can spell and UTF-8 cannot."""
_address = re.compile(r"[^\s@<>,;\x00-\x20]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII).fullmatch


class About(NamedTuple):
    """What is known of the mail that an event is about."""

    reference: Reference
    list: str
    """Of the campaign; empty: none."""
    links: Links


def fact_of(event: Event, about: About, esp: str, received_at: float, suppress: tuple[str, ...]) -> Reaction | None:  # noqa: PLR0911 - a table of events
    """None for what tells nothing that we count."""
    campaign, mail_id = about.reference
    # Somebody else's address would be suppressed in place of the reader's: it must be the one that the mail was to.
    address = plain_address(event.recipient) or ""
    recipient = address if about.reference.is_to(address) else ""
    who = (campaign, _at(event, received_at), mail_id, recipient)
    known_as = blake2b(event.dedupe.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    scope, list_ = _scope(event, about.list)
    match event.event:
        case "delivered":
            return EmailDelivered(*who, esp)
        case "bounced" | "rejected":
            return _returned(who, event, esp, suppress)
        case "complained":
            return EmailComplained(*who, esp)
        case "opened":
            machine, client = _opener(event)
            return EmailOpened(*who, machine, client, known_as)
        case "clicked":
            return None if _ours(event.url) else _clicked(who, event, about.links, known_as)
        case "unsubscribed":
            return EmailUnsubscribed(*who, scope, list_, esp, known_as)
        case "resubscribed":
            return EmailResubscribed(*who, scope, list_, esp, known_as)
        case "deferred":
            return None  # the ESP goes on trying
        case _:
            assert_never(event.event)


def _at(event: Event, received_at: float) -> float:
    """When it happened; clocks may be wrong, but nothing happens after it was told."""
    if event.at is None or event.at > received_at + _LATEST_AHEAD_SECONDS:
        return received_at
    return event.at


def _scope(event: Event, list_: str) -> tuple[facts.Scope, str]:
    """A group of the ESP's is what we call a list; who leaves without naming one leaves all mail."""
    return ("list", list_) if event.group and list_ else ("all", "")


def _opener(event: Event) -> visitors.Visitor:
    if event.machine:
        return visitors.Visitor("esp")
    if not event.user_agent:
        return visitors.Visitor()  # some ESPs do not pass it on, which says nothing
    return visitors.of_open("GET", {"user-agent": event.user_agent})


def _clicked(who: tuple[str, float, str, str], event: Event, links: Links, known_as: str) -> EmailClicked:
    agent = {"user-agent": event.user_agent}
    machine = "esp" if event.machine else visitors.of_click("GET", agent).machine if event.user_agent else ""
    number = links.index(event.url) + 1 if event.url in links else 0
    return EmailClicked(*who, number, event.url[:_MAX_URL], machine, known_as)


def _returned(who: tuple[str, float, str, str], event: Event, esp: str, suppress: tuple[str, ...]) -> EmailReturned:
    kind = _kind(event)
    return EmailReturned(
        *who,
        kind=kind,
        by=esp,
        suppress=_reason(kind, suppress),
        failure_class=_class(kind, event),
        code=event.code if 0 <= event.code < 1_000 else 0,
        enhanced=event.enhanced[:_MAX_REPLY],
        reply=event.text[:_MAX_REPLY],
    )


def _class(kind: Return, event: Event) -> FailureClass | Literal[""]:
    """Empty where nothing tells it. What whoever told it does not call hard, is not."""
    if kind == "hard":
        return "hard"
    code = event.code or _CODES.get(event.enhanced[:1], 0)
    if not code:
        return ""
    judged = classification.classify(Reply(code, event.enhanced, event.text)).failure_class
    return "soft" if judged == "hard" else judged


def _kind(event: Event) -> Return:
    if event.event == "rejected":
        return "listed" if event.listed else "rejected"
    return "hard" if event.bounce == "hard" else "soft"


def _reason(kind: Return, suppress: tuple[str, ...]) -> Reason | str:
    if kind == "hard":
        return "hard_bounce"
    return "esp_list" if kind == "listed" and "listed" in suppress else ""


def entry_of(event: Event, esp: str, endpoint: str, received_at: float, suppress: tuple[str, ...]) -> Entry | None:
    """Whom to suppress for a mail that is not one of ours, where the endpoint is set so; None: nobody."""
    address = plain_address(event.recipient)
    if "unknown" not in suppress or address is None:
        return None
    reason: Reason
    match event.event:
        case "bounced" if event.bounce == "hard":
            reason = "hard_bounce"
        case "complained":
            reason = "complaint"
        case "unsubscribed" if not event.group:
            reason = "unsubscribe"
        case "rejected" if event.listed and "listed" in suppress:
            reason = "esp_list"
        case _:
            return None
    return Entry(address, reason, _at(event, received_at), f"{esp}, endpoint {endpoint}")


def plain_address(text: str) -> str | None:
    """An address as the suppression list has it; None for what is none."""
    local, _, domain = text.strip().rpartition("@")
    try:
        ascii_domain = domain.lower().encode("idna").decode("ascii") if not domain.isascii() else domain.lower()
    except UnicodeError:
        return None
    address = f"{local}@{ascii_domain}"
    return address if _address(address) and not _half.search(address) else None
