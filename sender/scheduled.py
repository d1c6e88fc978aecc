"""Which retries were queued already, where the server may have forgotten their ids.

A try that was queued lies in MAIL, first waiting and then due, and has a fact in EVENTS before it leaves MAIL. So whoever reads
these three, in this order, cannot miss one. Queueing it a second time would send it twice: a claim of a mail that was never
delivered before is believed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from events import ids, schemas, stories, streams, subjects
from events.bus import Bus
from sender.outcomes import Record


async def already(bus: Bus, records: Sequence[Record], events_before: int) -> set[str]:
    """The ids of those retries, of one campaign, that are queued or were tried. Raises `RetryLater`.

    `events_before` is a sequence of EVENTS from before they were decided on. Takes some seconds per million messages since.
    """
    campaign = records[0].held.lane.campaign.id
    wanted = {record.retry.id for record in records if record.retry is not None}
    behind = min(record.held.delivery.sequence for record in records)
    found = {attempt async for attempt in _queued(bus, campaign, behind) if attempt in wanted}
    tried = {record.held.mail.mail_id: record.held.mail.attempt for record in records}
    standing = await stories.standing(bus, campaign, tried, from_sequence=events_before + 1)
    return found | {
        ids.attempt_id(mail, tried[mail] + 1) for mail, fact in standing.items() if fact.attempt > tried[mail]
    }


async def _queued(bus: Bus, campaign: str, behind: int) -> AsyncIterator[str]:
    """The attempts that wait for their time or are due."""
    for subject in (subjects.mail_waiting_of_campaign(campaign), subjects.mail_due_of_campaign(campaign)):
        async for record in bus.read(streams.MAIL.name, subject, from_sequence=behind + 1):
            try:
                mail = schemas.decode_mail(record.payload)
            except msgspec.DecodeError:
                continue  # `lanes` has told of it
            yield ids.attempt_id(mail.mail_id, mail.attempt)
