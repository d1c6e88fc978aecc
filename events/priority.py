"""Which campaigns go first, and how that is changed while they run.

Senders see the change in the campaign itself. The batches that still wait for a producer lie under the class of their campaign,
and are moved. A batch that is moved while a producer has it in hand is worked on twice at most, which producers make harmless.
"""

from __future__ import annotations

import logging

import msgspec

from events import campaigns, schemas, streams, subjects
from events.bus import Bus, Message, Record
from events.campaigns import WrongStatus
from events.schemas import BatchJob, Campaign, Priority

_log = logging.getLogger(__name__)


def prioritise(campaign: Campaign, priority: Priority, weight: int | None = None) -> Campaign:
    """Another class, or another weight in it; None: the same weight. Raises `WrongStatus` where the campaign has ended."""
    if campaign.status in {"finished", "cancelled"}:
        raise WrongStatus(f"The campaign is {campaign.status}: nothing of it is left to send.")
    return msgspec.structs.replace(campaign, priority=priority, weight=campaign.weight if weight is None else weight)


async def change(bus: Bus, campaign_id: str, priority: Priority, weight: int | None = None) -> Campaign:
    """Takes effect within moments, in producers and senders. Harmless to repeat. Raises as `campaigns.change`."""
    changed = await campaigns.change(bus, campaign_id, lambda one: prioritise(one, priority, weight))
    await move_batches(bus, campaign_id, priority)
    return changed


async def waiting_batches(bus: Bus, campaign_id: str) -> list[tuple[Record, BatchJob]]:
    """The campaign's batches that no producer has finished, whatever class they were queued for. Raises `RetryLater`."""
    found = []
    for filter_subject in subjects.batches_of_campaign(campaign_id):
        async for record in bus.read(streams.BATCHES.name, filter_subject):
            try:
                found.append((record, schemas.decode_batch(record.payload)))
            except msgspec.DecodeError:
                _log.exception("message %d of %s is no batch; it is left alone", record.sequence, record.subject)
    return found


async def move_batches(bus: Bus, campaign_id: str, priority: Priority) -> int:
    """Put the campaign's waiting batches under another class; returns how many. Harmless to repeat. Raises `RetryLater`.

    Each is stored there first and deleted here second, without an id: the server may remember one from an earlier move.
    """
    target = subjects.batches(campaign_id, priority)
    moved = [record for record, _ in await waiting_batches(bus, campaign_id) if record.subject != target]
    await bus.publish(streams.BATCHES.name, [Message(target, record.payload) for record in moved])
    await bus.delete(streams.BATCHES.name, [record.sequence for record in moved])
    return len(moved)
