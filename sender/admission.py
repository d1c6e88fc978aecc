"""Whether a campaign's mails may be sent now. Pure."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, assert_never

from events.schemas import Campaign


class Send(NamedTuple):
    """Go on."""


class Expire(NamedTuple):
    """The deadline has passed: state it and send nothing."""


class Hold(NamedTuple):
    """Paused, or before its start: keep what is held, take nothing more."""


class Drop(NamedTuple):
    """Cancelled: acknowledge without sending; the closing of the campaign states the number."""


Admission: TypeAlias = Send | Expire | Hold | Drop


_SEND = Send()
_HOLD = Hold()


def decide(campaign: Campaign, now: float) -> Admission:
    """A finished campaign that still has a mail due (one replayed by hand) is sent like a running one."""
    match campaign.status:
        case "cancelled":
            return Drop()
        case "paused":
            return _HOLD
        case "planning" | "running" | "finished":
            if campaign.starts_at is not None and campaign.is_scheduled:
                return _HOLD
            return Expire() if campaign.deadline is not None and now >= campaign.deadline else _SEND
        case _:
            assert_never(campaign.status)
