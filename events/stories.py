"""What EVENTS tells of single mails. Reading takes about a second per million events of the campaign."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container

from events import facts, states, streams, subjects
from events.bus import Bus
from events.facts import MAIL_FACTS, MailFact


async def told(bus: Bus, campaign: str, mails: Container[str], *, from_sequence: int = 1) -> AsyncIterator[MailFact]:
    """Every fact about these mails, in order. Raises `RetryLater`."""
    events = bus.read(streams.EVENTS.name, subjects.events_of_campaign(campaign), from_sequence=from_sequence)
    async for record in events:
        if record.id.partition("/")[0] in mails:  # most are about others, and are not decoded
            fact = facts.decode(record.payload)
            if isinstance(fact, MAIL_FACTS):
                yield fact


async def standing(bus: Bus, campaign: str, mails: Container[str], *, from_sequence: int = 1) -> dict[str, MailFact]:
    """For each of these mails the fact that stands (`states`), as far as there is one. Raises `RetryLater`."""
    return states.standing([fact async for fact in told(bus, campaign, mails, from_sequence=from_sequence)])
