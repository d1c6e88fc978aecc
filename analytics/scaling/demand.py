"""What a campaign needs to be done in time: how much its senders have to do, and how long its limits make it take. Pure.

A campaign has neither the senders nor its lanes to itself. While it sends one mail, a campaign of the same priority sends as
many as their weights say, one of a higher priority all that it has, one of a lower a nineteenth (`sender.turns`). So until it
is done a limit has to let pass its own mails and what the others send meanwhile; and the senders are a limit like the others,
whose height is what is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final, NamedTuple, TypeAlias

from analytics.scaling import passing
from analytics.scaling.crew import Crew
from analytics.scaling.situation import Lane, Situation, Work, name_of
from events.schemas import PRIORITIES

SPARE: Final = 0.1
"""Of the time left so much is kept back: for mails that have to be tried again, and for senders that are slower than others."""
_Mails: TypeAlias = Callable[[Work], float]
"""How many mails of a campaign go the way in question."""
_RANKS: Final = {priority: rank for rank, priority in enumerate(PRIORITIES)}
PRODUCERS: Final = "producers"
"""The name of a limit: those who render the mails."""
_LOWER_SHARE: Final = 1 / 19
"""What a lower class gets for each mail of a higher one."""


class Outlook(NamedTuple):
    """Of one campaign. Seconds count from now, or from its start where that is to come. Lateness is that of first tries: when a
    retry comes is the provider's affair."""

    work: Work
    seconds: float
    """Until its deadline; negative: it has passed."""
    limited_seconds: float
    """So long its limits make it take, however many senders there are; infinite: they let nothing pass."""
    limited_by: str
    """The limit that takes longest; empty: none takes any time."""

    @property
    def is_late_anyway(self) -> bool:
        """However many senders there are: its limits alone take longer than there is time."""
        return self.limited_seconds > max(0.0, self.seconds)


class Need(NamedTuple):
    """Of one campaign, for senders."""

    senders: float
    """So that it is done in time, or as early as its limits let it."""
    effort: float
    """What its first tries are, with what others send meanwhile, in seconds of one sender."""


def outlook(work: Work, situation: Situation) -> Outlook:
    """What can be said without knowing what a sender does."""
    limited_by, limited_seconds = _slowest(_first_tries(work), situation)
    return Outlook(work, work.deadline - max(situation.now, work.begins), limited_seconds, limited_by)


def need(found: Outlook, situation: Situation, crew: Crew, soonest_seconds: float) -> Need:
    """What is late, or nearly, is to be done within `soonest_seconds`. The rates of its pools must be known."""
    planned = max(found.seconds * (1.0 - SPARE), soonest_seconds)
    effort = _effort(_within(found.work, situation, planned), situation, planned)
    senders = min(crew.needed(effort, planned), _usable(found.work, situation, planned))
    return Need(senders, _effort(_first_tries(found.work), situation, inf))


def _first_tries(work: Work) -> Work:
    return _part_of(work, 1.0 - work.again / work.mails) if work.mails else work


def _within(work: Work, situation: Situation, seconds: float) -> Work:
    """What can go in that time for those who render it, and for the campaign's own rate."""
    mails = work.mails
    if not mails:
        return work
    rendered = inf if situation.rendering is None else mails - work.unrendered + situation.rendering * seconds
    own = inf if work.rate is None else work.rate * seconds
    return _part_of(work, min(1.0, rendered / mails, own / mails))


def _part_of(work: Work, part: float) -> Work:
    """So much of its mails, all alike."""
    return Work(
        campaign=work.campaign,
        deadline=work.deadline,
        lanes={lane: mails * part for lane, mails in work.lanes.items()},
        begins=work.begins,
        unrendered=work.unrendered * part,
        priority=work.priority,
        weight=work.weight,
        rate=work.rate,
    )


# how much senders have to do


def _effort(work: Work, situation: Situation, seconds: float) -> float:
    """Until the campaign is done or that time is over. Pools work side by side: the one with most to do decides."""
    return max((_effort_in(pool, work, situation, seconds) for pool in {pool for pool, _ in work.lanes}), default=0.0)


def _effort_in(pool: str, work: Work, situation: Situation, seconds: float) -> float:
    others = _others(work, situation)
    lanes = {lane for one in (work, *others) for lane in one.lanes if lane[0] == pool}
    capacity = {lane: _capacity(name_of(lane), situation, seconds) for lane in lanes}
    own = {
        lane: min(mails, capacity[lane] * mails / _through(work, mails, others, _in_lane(lane)))
        for lane, mails in work.lanes.items()
        if lane[0] == pool and mails
    }
    left = {lane: max(0.0, capacity[lane] - own.get(lane, 0.0)) for lane in lanes}
    mails = _through(work, sum(own.values()), others, _at_most(left))
    rate = situation.pools[pool].rate
    assert rate, "asked only where it is known what a sender does"
    return min(mails, _capacity(pool, situation, seconds)) / rate


def _usable(work: Work, situation: Situation, seconds: float) -> float:
    """Senders that use up all that the limits let pass at any moment: those that come late cannot make up for that with more."""
    return max((_usable_in(pool, work, situation, seconds) for pool in {pool for pool, _ in work.lanes}), default=0.0)


def _usable_in(pool: str, work: Work, situation: Situation, seconds: float) -> float:
    lanes = {lane for one in (work, *_others(work, situation)) for lane in one.lanes if lane[0] == pool}
    together = sum(_highest(name_of(lane), situation, seconds) for lane in lanes)
    rate = situation.pools[pool].rate
    assert rate, "asked only where it is known what a sender does"
    return min(together, _highest(pool, situation, seconds)) / rate


def _highest(name: str, situation: Situation, seconds: float) -> float:
    if name not in situation.limits:
        return inf
    return passing.highest(situation.limits[name], seconds, situation.now, _session_rate(name, situation))


def _capacity(name: str, situation: Situation, seconds: float) -> float:
    """Mails that a lane or a pool lets pass; in infinite time all."""
    if seconds == inf or name not in situation.limits:
        return inf
    return passing.capacity(situation.limits[name], seconds, situation.now, _session_rate(name, situation))


def _session_rate(name: str, situation: Situation) -> float | None:
    return situation.pools[name.partition(".")[0]].session_rate


# sharing with others


def _others(work: Work, situation: Situation) -> list[Work]:
    """Those that send at the same time. What begins later is wanted senders for when it comes near."""
    now = max(situation.now, work.begins)
    return [other for other in situation.works if other.campaign != work.campaign and other.begins <= now]


def _through(work: Work, own: float, others: Sequence[Work], has: _Mails) -> float:
    """Mails that pass until the campaign's own are gone: those, and what others send meanwhile of what each has there."""
    return own + sum(_meanwhile(work, own, other, has(other)) for other in others)


def _in_lane(lane: Lane) -> _Mails:
    return lambda work: work.lanes.get(lane, 0.0)


def _in_pool(pool: str) -> _Mails:
    return lambda work: sum(mails for lane, mails in work.lanes.items() if lane[0] == pool)


def _at_most(left: Mapping[Lane, float]) -> _Mails:
    """What can go through some lanes beside others' mails."""
    return lambda work: sum(min(mails, left[lane]) for lane, mails in work.lanes.items() if lane in left)


def _meanwhile(work: Work, own: float, other: Work, theirs: float) -> float:
    """What another campaign sends while this one sends `own`, of the mails that it has."""
    rank, others_rank = _RANKS[work.priority], _RANKS[other.priority]
    if others_rank < rank:
        return theirs
    return min(theirs, own * (other.weight / work.weight if others_rank == rank else _LOWER_SHARE))


# what limits it


def _slowest(work: Work, situation: Situation) -> tuple[str, float]:
    """Which limit takes longest until it has let pass all mails of the campaign, and how long."""
    others = _others(work, situation)
    taking = {
        name_of(lane): _seconds(name_of(lane), _through(work, mails, others, _in_lane(lane)), situation)
        for lane, mails in work.lanes.items()
    }
    for pool in {pool for pool, _ in work.lanes}:
        has = _in_pool(pool)
        taking[pool] = _seconds(pool, _through(work, has(work), others, has), situation)
    if work.rate is not None:
        taking[work.name] = work.mails / work.rate
    if situation.rendering is not None and work.unrendered:
        taking[PRODUCERS] = work.unrendered / situation.rendering if situation.rendering else inf
    name, seconds = max(taking.items(), key=lambda one: one[1], default=("", 0.0))
    return (name, seconds) if seconds else ("", 0.0)


def _seconds(name: str, mails: float, situation: Situation) -> float:
    if name not in situation.limits:
        return 0.0
    return passing.seconds_for(situation.limits[name], mails, situation.now, _session_rate(name, situation))


def rate_of(found: Outlook, situation: Situation) -> float | None:
    """What the limit that takes longest lets pass at present, mails per second; None: it cannot be said so. There must be one."""
    if found.limited_by == found.work.name:
        return found.work.rate
    if found.limited_by == PRODUCERS:
        return situation.rendering
    limit = situation.limits[found.limited_by]
    rate = passing.rate_now(limit, situation.now, _session_rate(found.limited_by, situation))
    return None if rate == inf else rate
