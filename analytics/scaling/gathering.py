"""From what is seen and known to a situation that can be decided about. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, TypeVar

from analytics.scaling import crowding
from analytics.scaling.crowding import Crowd
from analytics.scaling.memory import KnownPool, Memory, is_sent
from analytics.scaling.seen import Seen, Shared
from analytics.scaling.settings import ScalingSettings
from analytics.scaling.situation import Lane, Limit, Pool, Situation, Work, name_of
from events import breaker, routes, streams
from events.breaker import Health
from events.fleet import Bounds
from events.schemas import Campaign

Number = TypeVar("Number", int, float)

_DAY_SECONDS: Final = 86_400
_OTHER: Final = "other"
"""The mailbox provider that is assumed where none is known."""


def situation(seen: Seen, memory: Memory, settings: ScalingSettings) -> Situation:
    limits = _limits(seen, memory)
    soon = seen.now + settings.soonest_seconds
    sent = [one for one in seen.campaigns if is_sent(one) and _begins(one) <= soon]
    retries = _retries(seen)
    works = tuple(_work(one, retries[one.id], seen, memory, limits, settings) for one in sent)
    pools = {pool for work in works for pool, _ in work.lanes} | memory.pools.keys()
    return Situation(
        now=seen.now,
        alive=len(seen.beats),
        pools={name: _pool(memory.pools.get(name), memory.crowds.get(name), settings) for name in pools},
        works=works,
        limits=limits,
        rendering=None if memory.rendering is None else memory.rendering.rate,
    )


def _pool(known: KnownPool | None, crowd: Crowd | None, settings: ScalingSettings) -> Pool:
    assumed = settings.sender_mails_per_second or None
    if known is None:
        return Pool(rate=assumed)
    measured = known.rate if crowd is None else crowding.sender_rate(crowd) or known.rate
    return Pool(rate=measured or assumed, sessions=known.sessions, measured=measured is not None)


# limits


def _limits(seen: Seen, memory: Memory) -> dict[str, Limit]:
    """Of all pools and lanes about which anything is configured or was learned."""
    today = int(seen.now // _DAY_SECONDS)
    configured: dict[str, Bounds] = {}
    for pool, known in memory.pools.items():
        configured[pool] = known.bounds
        configured |= {name_of((pool, provider)): bounds for provider, bounds in known.lanes.items()}
    return {
        name: _limit(
            configured.get(name, Bounds()),
            seen.shared.get(name, Shared()),
            today,
            down=name in memory.pools and memory.pools[name].down,
            ceiling=memory.crowds[name].limit if name in memory.crowds else None,
        )
        for name in configured.keys() | seen.shared.keys()
    }


def _limit(bounds: Bounds, shared: Shared, today: int, *, down: bool, ceiling: float | None) -> Limit:
    used = shared.used if shared.day == today else 0
    return Limit(
        rate=_least(bounds.rate, ceiling),
        pace=shared.pace,
        connections=bounds.connections,
        daily=_least(bounds.daily, shared.allowance),
        used=used,
        down=down,
    )


def _least(*values: Number | None) -> Number | None:
    return min((value for value in values if value is not None), default=None)


# work


def _begins(campaign: Campaign) -> float:
    return campaign.starts_at or 0.0 if campaign.is_scheduled else 0.0


def _work(
    campaign: Campaign,
    retries: float,
    seen: Seen,
    memory: Memory,
    limits: Mapping[str, Limit],
    settings: ScalingSettings,
) -> Work:
    deadline = _deadline(campaign, memory, settings)
    due = {lane: count for lane, count in _due(campaign, seen).items() if count}
    unrendered = _unrendered(campaign, seen)
    mails = _spread(due, unrendered + (retries if seen.now < deadline else 0.0), campaign)
    lanes, stopped = _let_go(campaign, mails, seen, limits)
    total = sum(lanes.values())
    tried = seen.tried.get(campaign.id)
    again = retries if tried is None else max(retries, total - tried.untried)
    return Work(
        campaign=campaign.id,
        deadline=deadline,
        lanes=lanes,
        begins=_begins(campaign),
        unrendered=min(unrendered, total),
        again=min(again, total),
        stopped=stopped,
        priority=campaign.priority,
        weight=campaign.weight,
        rate=campaign.rate,
    )


def _deadline(campaign: Campaign, memory: Memory, settings: ScalingSettings) -> float:
    if campaign.deadline is not None:
        return campaign.deadline
    start = _begins(campaign) or campaign.started_at or campaign.created_at
    return max(start, memory.begun.get(campaign.id, 0.0)) + settings.within_seconds


def _due(campaign: Campaign, seen: Seen) -> dict[str, float]:
    """By mailbox provider, those included that senders hold."""
    return {provider: float(count) for (_, provider, owner), count in seen.queues.due.items() if owner == campaign.id}


def _unrendered(campaign: Campaign, seen: Seen) -> float:
    """Batches are full, all but the last: and no more than are planned and not due already."""
    batches = seen.queues.batches.get(campaign.id, 0) * streams.BATCH_SIZE
    if campaign.planned is None:
        return float(batches)
    return float(min(batches, max(0, campaign.planned - seen.queues.due_of(campaign.id))))


def _retries(seen: Seen) -> dict[str, float]:
    """How many of those that wait are whose: as ClickHouse counted them, and else by what is due."""
    unfinished = [one.id for one in seen.campaigns if one.finished_at is None]
    weights = {name: seen.tried[name].retrying if name in seen.tried else 0 for name in unfinished}
    if not any(weights.values()):
        weights = {name: seen.queues.due_of(name) or 1 for name in unfinished}
    total = sum(weights.values())
    return {name: seen.queues.waiting * weight / total for name, weight in weights.items()}


def _spread(due: Mapping[str, float], more: float, campaign: Campaign) -> dict[str, float]:
    """What is to come is for the same mailbox providers as what is there."""
    total = sum(due.values())
    if not total:
        return {_OTHER: more} if more else {}
    return {provider: count * (1.0 + more / total) for provider, count in due.items()}


def _let_go(
    campaign: Campaign, mails: Mapping[str, float], seen: Seen, limits: Mapping[str, Limit]
) -> tuple[dict[Lane, float], float]:
    """Mails by the lane that they go through, and how many of them the circuit breaker stops."""
    health = seen.healths.get(campaign.id) or Health(campaign.id)
    lanes: dict[Lane, float] = defaultdict(float)
    stopped = 0.0
    for provider, count in mails.items():
        pool = _pool_for(campaign, provider, limits)
        if breaker.opening_of(health, breaker.lane_key(pool, provider)) is not None:
            stopped += count
        else:
            lanes[pool, provider] += count
    part = _canary_part(campaign, health, sum(lanes.values()))
    return {lane: count * part for lane, count in lanes.items()}, stopped


def _pool_for(campaign: Campaign, provider: str, limits: Mapping[str, Limit]) -> str:
    """The first pool of its route that can take mails, as senders choose it (`sender.routing`)."""
    return routes.choose(campaign.pools_for(provider), lambda pool: _can(pool, provider, limits))


def _can(pool: str, provider: str, limits: Mapping[str, Limit]) -> bool:
    holding = [limits.get(name, Limit()) for name in (pool, name_of((pool, provider)))]
    return not any(limit.down or limit.is_used_up for limit in holding)


def _canary_part(campaign: Campaign, health: Health, mails: float) -> float:
    """Of a campaign that waits for its canary only that goes."""
    rule = campaign.canary
    if rule is None or health.canary.passed_at is not None or not mails:
        return 1.0
    return min(1.0, max(rule.minimum, rule.share * (campaign.planned or 0)) / mails)
