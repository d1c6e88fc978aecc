"""Registers a campaign, or finds what an earlier run left of it and whether this run may go on with that."""

from __future__ import annotations

from typing import NamedTuple

from events import campaigns, facts, priority, schemas, streams, subjects
from events.bus import Bus
from events.campaigns import CampaignNotFound
from events.errors import RevisionMismatch
from events.schemas import Campaign
from producer import checkpoint as checkpoints
from producer.campaign.check import Launchable
from producer.checkpoint import Checkpoint, CheckpointKeeper
from producer.errors import CampaignExists, CampaignInterrupted, LaunchedElsewhere


class Registered(NamedTuple):
    campaign: Campaign
    checkpoint: Checkpoint
    resumed: bool
    """An earlier run had begun."""
    published: frozenset[str]
    """Ids of what that run published of the launch: facts, and batches that wait, are worked on, or are done."""


async def register(
    bus: Bus, launchable: Launchable, fresh: Checkpoint, keeper: CheckpointKeeper, now: float
) -> Registered:
    """Harmless to repeat. Raises `ProducerError` where the campaign may not be launched, and `RetryLater`."""
    left = await keeper.read()
    known = await _find(bus, launchable.campaign.id)
    if known is None:
        await _refuse_interrupted(bus, launchable.campaign.name, launchable.campaign.id, fresh)
        await keeper.write(fresh)
        campaign = _campaign(launchable, now)
        await _create(bus, campaign)
        return Registered(campaign, fresh, False, frozenset())
    if known.planned is not None or known.status not in {"planning", "paused"} or left is None:
        raise CampaignExists(f"The campaign {known.id!r} is {known.status} already. Give the new one an id of its own.")
    checkpoints.compare(left, fresh)
    await keeper.write(left)
    return Registered(known, left, keeper.inherited, await published(bus, known.id))


async def _find(bus: Bus, campaign: str) -> Campaign | None:
    try:
        return await campaigns.get(bus, campaign)
    except CampaignNotFound:
        return None


async def _refuse_interrupted(bus: Bus, name: str, campaign: str, fresh: Checkpoint) -> None:
    """An id that has the day in it changes overnight; the people in the audience do not."""
    for other in await campaigns.all_of(bus):
        if other.name != name or other.id == campaign or other.planned is not None or other.status == "cancelled":
            continue
        begun = await checkpoints.of_campaign(bus, other.id)
        if begun is not None and begun.audience == fresh.audience:
            raise CampaignInterrupted(
                f"The campaign {other.id!r} of the same name and audience was begun and not planned to its end. "
                f'Set id = "{other.id}" in the campaign file to go on with it, or cancel it: '
                "under a new id the same people would be planned again."
            )


async def _create(bus: Bus, campaign: Campaign) -> None:
    bucket = await bus.bucket(streams.CAMPAIGNS)
    try:
        await bucket.update(campaign.id, schemas.encode_campaign(campaign), 0)
    except RevisionMismatch as error:
        raise LaunchedElsewhere(LaunchedElsewhere.__doc__) from error


def _campaign(launchable: Launchable, now: float) -> Campaign:
    made, timing = launchable.campaign, launchable.timing
    return Campaign(
        id=made.id,
        name=made.name,
        status="planning",
        pool=made.pool,
        routes=dict(launchable.routes),
        return_path=made.return_path,
        created_at=now,
        policy=launchable.policy,
        deadline=timing.deadline,
        subject=made.subject,
        from_header=f"{made.from_.name} <{made.from_.address}>" if made.from_.name else made.from_.address,
        priority=timing.priority,
        weight=timing.weight,
        rate=timing.rate,
        starts_at=timing.starts_at,
        past_due=timing.past_due,
        grace_seconds=timing.grace_seconds,
        list=made.list,
        tracking=made.tracking,
        canary=launchable.safety.canary,
        breaker=launchable.safety.breaker,
    )


async def published(bus: Bus, campaign: str) -> frozenset[str]:
    """Batches first, facts second: a batch that is finished in between is found as the fact `BatchQueued`."""
    found = {batch_id(job.campaign, job.number) for _, job in await priority.waiting_batches(bus, campaign)}
    for kind in (facts.CampaignStarted, facts.BatchPlanned, facts.BatchQueued, facts.CampaignPlanned):
        subject = subjects.event(str(kind.__struct_config__.tag), campaign)
        async for record in bus.read(streams.EVENTS.name, subject):
            fact = facts.decode(record.payload)
            found.add(facts.id_of(fact))
            if isinstance(fact, facts.BatchQueued):
                found.add(batch_id(campaign, fact.batch))
    return frozenset(found)


def batch_id(campaign: str, number: int) -> str:
    """The `Nats-Msg-Id` of a batch job."""
    return f"{campaign}/batch/{number}"
