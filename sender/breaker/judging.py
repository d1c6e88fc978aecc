"""Whether a lane has to be stopped. Pure.

A share is beyond its limit when so many would be improbable if the limit were kept: the limit's expectation and some standard
deviations (binomial). Otherwise a campaign of millions, judged every second, would be stopped by chance sooner or later.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from events.breaker import EVERY_LANE, Cause, Health, LaneHealth, Opening, provider_of
from events.schemas import Campaign
from sender.breaker.settings import BreakerSettings

N = TypeVar("N", int, float)

ALWAYS: Final = 3.0
"""Standard deviations where a lane is judged again and again: one in 740 at the limit itself, next to never below it."""
ONCE: Final = 2.0
"""Where it is judged once, on few mails: the canary."""

_WORDS: Final[dict[Cause, str]] = {
    "hard_bounces": "bounced for good",
    "blocks": "were refused for policy or reputation",
    "complaints": "were called spam by those who got them",
}


class Limits(NamedTuple):
    """What holds for a campaign: the settings, and what its file says otherwise. None: not judged."""

    hard_bounces: float | None
    blocks: float | None
    complaints: float | None
    minimum_mails: int
    window_seconds: float

    @property
    def judges_nothing(self) -> bool:
        return self.hard_bounces is None and self.blocks is None and self.complaints is None


def limits_of(campaign: Campaign, settings: BreakerSettings, *, always: bool = False) -> Limits:
    """Where the breaker is turned off nothing is judged, unless `always`: a canary that somebody asked for has limits."""
    own = campaign.breaker
    minimum = _first(own.minimum_mails, settings.minimum_mails)
    if not (always or (settings.enabled and own.enabled)):
        return Limits(None, None, None, minimum, settings.window_seconds)
    return Limits(
        _first(own.hard_bounce_rate, settings.hard_bounce_rate),
        _first(own.block_rate, settings.block_rate),
        _first(own.complaint_rate, settings.complaint_rate),
        minimum,
        settings.window_seconds,
    )


def _first(own: N | None, otherwise: N) -> N:
    return otherwise if own is None else own


def is_beyond(bad: int, mails: int, limit: float | None, deviations: float) -> bool:
    """Whether `bad` of `mails` is more than a sender who keeps the limit would see. A single one never is."""
    if limit is None or mails <= 0 or bad < 2:
        return False
    expected = limit * mails
    return bad > expected + deviations * sqrt(expected * (1.0 - limit))


def candidates(health: Health) -> list[tuple[str, LaneHealth]]:
    """What to judge: each lane, and the campaign by complaints of which nobody knows the lane.

    Complaints and mails that came back count for the pool that the campaign goes through first (`events.complaints`), although
    another may have taken over. So they are measured against what was accepted through any, at the same mailbox provider.
    """
    accepted = Counter[str]()
    for lane, state in health.lanes.items():
        accepted[provider_of(lane)] += state.accepted
    found = {lane: replace(state, accepted=accepted[provider_of(lane)]) for lane, state in health.lanes.items()}
    if EVERY_LANE in found:
        found[EVERY_LANE] = replace(found[EVERY_LANE], accepted=accepted.total(), opening=health.opening)
    return list(found.items())


def judge(lane: LaneHealth, limits: Limits, now: float) -> Opening | None:
    """Why the lane has to be stopped; None: it may go on. One that is stopped already is not judged."""
    if lane.opening is not None:
        return None
    return _by_outcomes(lane, limits, now) or _by_returns(lane, limits, now) or _by_complaints(lane, limits, now)


def _by_outcomes(lane: LaneHealth, limits: Limits, now: float) -> Opening | None:
    """Looks at the newest mails, then further and further back: a spike shows at once, a little too much in the long run."""
    mails = hard = blocked = 0
    for part in reversed(lane.slices):
        mails, hard, blocked = mails + part.mails, hard + part.hard, blocked + part.blocked
        if mails < limits.minimum_mails:
            continue
        if limits.blocks is not None and is_beyond(blocked, mails, limits.blocks, ALWAYS):
            return opening("blocks", blocked, mails, limits.blocks, now)
        if limits.hard_bounces is not None and is_beyond(hard, mails, limits.hard_bounces, ALWAYS):
            return opening("hard_bounces", hard, mails, limits.hard_bounces, now)
    return None


def _by_returns(lane: LaneHealth, limits: Limits, now: float) -> Opening | None:
    """An ESP takes whatever it is given, and tells of dead addresses afterwards."""
    mails, limit = max(lane.accepted, lane.returned), limits.hard_bounces
    if limit is None or mails < limits.minimum_mails or not is_beyond(lane.returned, mails, limit, ALWAYS):
        return None
    return opening("hard_bounces", lane.returned, mails, limit, now)


def _by_complaints(lane: LaneHealth, limits: Limits, now: float) -> Opening | None:
    mails, limit = max(lane.accepted, lane.complaints), limits.complaints
    if limit is None or mails < limits.minimum_mails or not is_beyond(lane.complaints, mails, limit, ALWAYS):
        return None
    return opening("complaints", lane.complaints, mails, limit, now)


def opening(cause: Cause, bad: int, mails: int, limit: float, now: float) -> Opening:
    return Opening(now, cause, bad, mails, limit, told(cause, bad, mails, limit))


def told(cause: Cause, bad: int, mails: int, limit: float) -> str:
    return f"{bad:,} of {mails:,} mails ({bad / mails:.2%}) {_WORDS[cause]}; allowed are {limit:.2%}"
