"""The life of a campaign: which status may follow which, and the one way to change it.

    planning → running → finished
    planning, running ⇄ paused
    planning, running, paused → cancelled
    finished → running, when mails that were given up are put back (`reopen`)

A campaign with a start waits for it beside all that (`Campaign.is_scheduled`, `events.schedule`).

The transitions are pure. `change` applies one to the bucket with optimistic locking, so that two people (or a person and
the splitter) who act at once never overwrite each other: whoever comes second decides anew on what the first one wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from events import facts, schemas, streams, subjects
from events.bus import Bus, Entry, Message
from events.errors import BusError, RevisionMismatch
from events.facts import CampaignReopened
from events.schemas import Campaign

Transition: TypeAlias = Callable[[Campaign], Campaign]

_UNPAUSED: Final[dict[str, Any]] = {"resume_to": None, "pause_reason": "", "pause_note": ""}


class CampaignError(BusError):
    """What was asked of the campaign cannot be done."""


class CampaignNotFound(CampaignError):
    """There is no campaign with this id. `jetpost status` lists them."""


class WrongStatus(CampaignError):
    """The campaign's status does not allow this."""


class Cancellation(NamedTuple):
    campaign: Campaign
    removed: int
    """Mails taken out of the queue, waiting retries included. What senders hold already is still sent."""


def pause(campaign: Campaign, *, reason: str = "", note: str = "") -> Campaign:
    """Nothing more is sent until `resume`; nothing is lost. Raises `WrongStatus` unless planning, running or paused.

    Where the system does it, `reason` is a word for why, and `note` tells people what happened and what to do.
    """
    match campaign.status:
        case "planning" | "running":
            return msgspec.structs.replace(
                campaign, status="paused", resume_to=campaign.status, pause_reason=reason, pause_note=note
            )
        case "paused":
            return campaign
        case "cancelled" | "finished":
            raise WrongStatus(f"The campaign is {campaign.status}: there is nothing left to pause.")


def resume(campaign: Campaign, now: float) -> Campaign:
    """Go on where `pause` stopped; what missed its start meanwhile starts now. Raises `WrongStatus` where it has ended."""
    match campaign.status:
        case "paused":
            late = campaign.starts_at is not None and campaign.is_scheduled and campaign.starts_at <= now
            going_on = msgspec.structs.replace(campaign, **_UNPAUSED, status=campaign.resume_to or "running")
            return msgspec.structs.replace(going_on, started_at=now) if late else going_on
        case "planning" | "running":
            return campaign
        case "cancelled" | "finished":
            raise WrongStatus(f"The campaign is {campaign.status}: it cannot be resumed. Send it as a new campaign.")


def cancel(campaign: Campaign) -> Campaign:
    """End it for good; what was not sent never will be. Raises `WrongStatus` where it has finished."""
    match campaign.status:
        case "planning" | "running" | "paused":
            return msgspec.structs.replace(campaign, **_UNPAUSED, status="cancelled")
        case "cancelled":
            return campaign
        case "finished":
            raise WrongStatus("The campaign is finished: every mail has its outcome, there is nothing left to cancel.")


def planned(campaign: Campaign, *, recipients: int, batches: int, duplicates: int, rejected: int) -> Campaign:
    """The audience was read to its end: a planning campaign runs; a paused or cancelled one stays so and keeps the counts."""
    counted = msgspec.structs.replace(
        campaign, planned=recipients, batches=batches, duplicates=duplicates, rejected=rejected
    )
    match campaign.status:
        case "planning":
            return msgspec.structs.replace(counted, status="running")
        case "paused":
            return msgspec.structs.replace(counted, resume_to="running")
        case "running" | "cancelled" | "finished":
            return counted


def finish(campaign: Campaign, at: float) -> Campaign:
    """Every recipient is accounted for, at Unix seconds `at`; a cancelled campaign stays cancelled and gets its end."""
    if campaign.finished_at is not None:
        return campaign
    status: schemas.CampaignStatus = "cancelled" if campaign.status == "cancelled" else "finished"
    return msgspec.structs.replace(campaign, **_UNPAUSED, status=status, finished_at=at)


def reopen(campaign: Campaign) -> Campaign:
    """Mails were put back into its queue: it runs again where it had finished. Raises `WrongStatus` where it was cancelled.

    `reopened` counts up in any case, so that whoever was about to finish the campaign notices.
    """
    if campaign.status == "cancelled":
        raise WrongStatus("The campaign is cancelled for good: nothing of it is sent any more.")
    status = "running" if campaign.status == "finished" else campaign.status
    return msgspec.structs.replace(campaign, status=status, finished_at=None, reopened=campaign.reopened + 1)


async def all_of(bus: Bus) -> list[Campaign]:
    """Every campaign the bus knows, the newest first."""
    entries = await (await bus.bucket(streams.CAMPAIGNS)).entries()
    found = [schemas.decode_campaign(entry.value) for entry in entries]
    return sorted(found, key=lambda campaign: (campaign.created_at, campaign.id), reverse=True)


async def get(bus: Bus, campaign_id: str) -> Campaign:
    """Raises `CampaignNotFound`."""
    return _decoded(campaign_id, await (await bus.bucket(streams.CAMPAIGNS)).get(campaign_id))


async def glance(bus: Bus, campaign_id: str) -> Campaign:
    """As `get`, for what never changes of a campaign (`Bucket.glance`). Raises `CampaignNotFound`."""
    return _decoded(campaign_id, await (await bus.bucket(streams.CAMPAIGNS)).glance(campaign_id))


def _decoded(campaign_id: str, entry: Entry | None) -> Campaign:
    if entry is None or entry.deleted:
        raise CampaignNotFound(f"There is no campaign {campaign_id!r}. `jetpost status` lists those there are.")
    return schemas.decode_campaign(entry.value)


async def change(bus: Bus, campaign_id: str, transition: Transition) -> Campaign:
    """Apply a transition to the newest state, anew whenever someone else was faster; returns what now holds.

    Raises `CampaignNotFound`, what the transition raises, and `RetryLater`.
    """
    bucket = await bus.bucket(streams.CAMPAIGNS)
    while True:
        entry = await bucket.get(campaign_id)
        before = _decoded(campaign_id, entry)
        after = transition(before)
        if after == before:
            return before
        try:
            await bucket.update(campaign_id, schemas.encode_campaign(after), entry.revision if entry else 0)
        except RevisionMismatch:
            continue
        return after


async def reopen_campaign(bus: Bus, campaign_id: str, now: float) -> Campaign:
    """Let it run (again), state so, and make sure that its lanes exist. Harmless to repeat. Raises as `change`."""
    campaign = await change(bus, campaign_id, reopen)
    fact = CampaignReopened(campaign_id, now, campaign.reopened)
    await bus.publish(streams.EVENTS.name, [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))])
    for lane in streams.lanes(campaign_id, campaign.pool):
        await bus.create_consumer(lane)
    return campaign


async def pause_campaign(bus: Bus, campaign_id: str) -> Campaign:
    """Senders stop taking its mails within a moment; what they hold is finished. Harmless to repeat. Raises as `change`."""
    return await change(bus, campaign_id, pause)


async def resume_campaign(bus: Bus, campaign_id: str, now: float) -> Campaign:
    """Harmless to repeat. Raises as `change`."""
    return await change(bus, campaign_id, lambda campaign: resume(campaign, now))


async def cancel_campaign(bus: Bus, campaign_id: str) -> Cancellation:
    """Cancel, and take its mails out of the queue. Raises as `change`.

    The status changes first, so that nobody queues more or sends what is queued; repeating removes what came in between.
    """
    campaign = await change(bus, campaign_id, cancel)
    due = await bus.purge(streams.MAIL.name, subjects.mail_due_of_campaign(campaign_id))
    waiting = await bus.purge(streams.MAIL.name, subjects.mail_waiting_of_campaign(campaign_id))
    return Cancellation(campaign, due + waiting)
