"""When a campaign with a start is let go, and what becomes of one whose start nobody was there for. Pure.

Whatever its status, nothing of a campaign is sent while `Campaign.is_scheduled`. A sender that sees the moment come applies
`begin` by compare-and-set: it lets the campaign go, or, where it is later than the grace allows, pauses it until a person
decides. So of many senders one decides, with the clock as it is when it can say so, and late mail is never sent silently.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from events import campaigns
from events.campaigns import CampaignError, WrongStatus
from events.schemas import Campaign

PAST_DUE: Final = "past_due"
"""The reason of the pause of a campaign that missed its start."""


class WrongMoment(CampaignError):
    """The campaign cannot start then."""


def is_due(campaign: Campaign, now: float) -> bool:
    """Whether it is time to decide about the start. A paused campaign is decided about by whoever resumes it."""
    return campaign.is_scheduled and campaign.status in {"planning", "running"} and now >= _start_of(campaign)


def begin(campaign: Campaign, now: float) -> Campaign:
    """Let a due campaign go, or pause it where it is too late for that; any other stays as it is."""
    if not is_due(campaign, now):
        return campaign
    late = now - _start_of(campaign)
    if late <= campaign.grace_seconds or campaign.past_due == "send":
        return replace(campaign, started_at=now)
    note = (
        f"It missed its start at {utc(_start_of(campaign))} by {duration(late)}: nobody was there to send it. "
        f"`jetpost resume {campaign.id}` sends it now, "
        f"`jetpost reschedule {campaign.id} --at …` later, `jetpost cancel {campaign.id}` never."
    )
    return campaigns.pause(campaign, reason=PAST_DUE, note=note)


def reschedule(campaign: Campaign, at: float, now: float) -> Campaign:
    """Another start. One that is paused for having missed its start waits for the new one; any other pause stays.

    Raises `WrongStatus` where it has started or ended, and `WrongMoment`.
    """
    _require_unstarted(campaign)
    if at <= now:
        raise WrongMoment(f"{utc(at)} has passed. `--now` starts it at once.")
    if campaign.deadline is not None and at >= campaign.deadline:
        raise WrongMoment(f"Its deadline is {utc(campaign.deadline)}: nothing would be sent from {utc(at)} on.")
    return replace(_without_missed_start(campaign), starts_at=at)


def start_now(campaign: Campaign, now: float) -> Campaign:
    """Let a scheduled campaign go before its time, or after. A pause by a person stays. Raises `WrongStatus`."""
    _require_unstarted(campaign)
    return replace(_without_missed_start(campaign), started_at=now)


def _require_unstarted(campaign: Campaign) -> None:
    if campaign.status in {"finished", "cancelled"}:
        raise WrongStatus(f"The campaign is {campaign.status}: there is nothing left to start.")
    if campaign.started_at is not None:
        raise WrongStatus(f"The campaign started at {utc(campaign.started_at)}. `jetpost pause` stops it for a while.")
    if campaign.starts_at is None:
        raise WrongStatus("The campaign has no start: it is sent already. `jetpost pause` stops it for a while.")


def _without_missed_start(campaign: Campaign) -> Campaign:
    if campaign.pause_reason != PAST_DUE:
        return campaign
    return replace(campaign, status=campaign.resume_to or "running", resume_to=None, pause_reason="", pause_note="")


def _start_of(campaign: Campaign) -> float:
    assert campaign.starts_at is not None, "only of campaigns with a start"
    return campaign.starts_at


def utc(at: float) -> str:
    """A moment as people read it on every machine: `2027-03-01 08:00:00 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """In the two largest units: `3 h 20 min`."""
    rest, parts = int(seconds), []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"
