"""What the streams say about a batch whose producer died, when the server has forgotten the message ids.

A mail that was ever queued lies in MAIL until it is settled, and has an event in EVENTS before it leaves MAIL. So whoever reads
first MAIL and then EVENTS to their ends cannot miss one.
"""

from __future__ import annotations

from typing import NamedTuple

from events import facts, streams, subjects
from events.bus import Bus, Record
from events.facts import BatchQueued
from events.schemas import BatchJob
from producer.progress import Progress


class Evidence(NamedTuple):
    """Mails of which something was published, by their ids."""

    queued: set[str]
    withheld: set[str]
    """Instead of a mail there is a fact that says why there is none."""

    def __len__(self) -> int:
        return len(self.queued) + len(self.withheld)


async def already_queued(bus: Bus, campaign: str, mail_ids: frozenset[str], progress: Progress) -> Evidence:
    """Those of the mails begun in `progress` that are queued or have an event. Raises `RetryLater`.

    Where all of them are still queued that takes a moment, else some seconds per million messages of the campaign since.
    """
    found = Evidence(set(), set())
    due = subjects.mail_due_of_campaign(campaign)
    async for record in bus.read(streams.MAIL.name, due, from_sequence=progress.mail_before + 1):
        if _take_note(record, mail_ids, found):
            return found
    events = subjects.events_of_campaign(campaign)
    async for record in bus.read(streams.EVENTS.name, events, from_sequence=progress.events_before + 1):
        if _take_note(record, mail_ids, found):
            return found
    return found


def _take_note(record: Record, mail_ids: frozenset[str], found: Evidence) -> bool:
    """Whether everything is found."""
    mail, _, rest = record.id.partition("/")
    if mail in mail_ids:
        if rest.partition("/")[0] != "0":
            found.queued.add(mail)
        elif mail not in found.queued:
            found.withheld.add(mail)
    return len(found) >= len(mail_ids)


async def is_stated_queued(bus: Bus, job: BatchJob) -> bool:
    """Whether EVENTS has the batch as queued: then a run before this one finished it. Raises `RetryLater`."""
    fact = BatchQueued(job.campaign, 0, job.number, 0, 0, 0, 0, 0)
    async for record in bus.read(streams.EVENTS.name, facts.subject_of(fact)):
        if record.id == facts.id_of(fact):
            return True
    return False


def _mail_of(message_id: str) -> str:
    """The mail id in the id of an attempt or an outcome (`events.ids`)."""
    return message_id.partition("/")[0]
