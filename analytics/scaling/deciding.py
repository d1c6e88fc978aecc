"""How many senders are wanted, and why. Pure: what is known comes in, with the clock, and a decision goes out.

    decision, state = decide(situation, settings, state)

Wanted are as many as the campaign needs that needs most, between the settings' limits: more at once, fewer after a cooldown.
Where a provider's limit makes a campaign late, senders beyond those that use the limit up are not wanted, and the decision says
so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, inf
from typing import Final, NamedTuple

from msgspec.structs import replace

from analytics.scaling import demand, words
from analytics.scaling.crew import Crew
from analytics.scaling.decision import Decision, Limited, Reason, State
from analytics.scaling.demand import Outlook
from analytics.scaling.settings import ScalingSettings
from analytics.scaling.situation import Situation

TOLERANCE: Final = 1.05
"""Senders are enough for this much more than they do: a figure that wavers starts none."""
_ROUNDING: Final = 1e-6


class _Needed(NamedTuple):
    senders: int
    """Without limits of the settings, and without cooldown."""
    by: Outlook | None
    """The campaign that needs most."""
    limited: Sequence[Outlook]
    """Campaigns that will be late, and that more senders would not help."""
    late_seconds: Mapping[str, float]
    by_queue: bool = False


def decide(situation: Situation, settings: ScalingSettings, state: State) -> tuple[Decision, State]:
    """The decision, and the state to pass in next time."""
    outlooks = [demand.outlook(work, situation) for work in situation.works]
    known = all(situation.pools[pool].rate for work in situation.works for pool, _ in work.lanes)
    needed = (_by_deadline if known else _by_queue)(outlooks, situation, settings, state)
    after = _remember(needed.senders, situation, settings, state)
    decision = Decision(
        at=situation.now,
        wanted=after.wanted,
        reason=_reason(needed, after.wanted, settings),
        why="",
        alive=situation.alive,
        needed=needed.senders,
        late_seconds={name: None if late == inf else late for name, late in needed.late_seconds.items()},
        limited=tuple(
            Limited(found.work.campaign, found.limited_by, demand.rate_of(found, situation)) for found in needed.limited
        ),
        capacity={name: pool.rate for name, pool in situation.pools.items() if pool.rate},
    )
    return replace(decision, why=words.why(decision, needed.by, situation, settings)), after


def _by_deadline(outlooks: Sequence[Outlook], situation: Situation, settings: ScalingSettings, state: State) -> _Needed:
    crew, soonest = _crew(situation, settings, state), settings.soonest_seconds
    most, by, efforts = 0.0, None, {}
    for found in outlooks:
        need = demand.need(found, situation, _then(crew, found, situation), soonest)
        efforts[found.work.campaign] = need.effort
        if need.senders > most:
            most, by = need.senders, found
    senders = max(_whole(most, state.wanted), _at_least(outlooks))
    there = min(max(senders, state.wanted), settings.max_senders)
    limited, late = [], {}
    for found in outlooks:
        seconds = _then(crew, found, situation).seconds_for(efforts[found.work.campaign], there)
        late[found.work.campaign] = _late(found, seconds)
        if found.is_late_anyway and found.limited_seconds >= seconds:
            limited.append(found)
    return _Needed(senders, by, limited, late)


def _crew(situation: Situation, settings: ScalingSettings, state: State) -> Crew:
    """What was wanted and is not there yet is on its way, unless it has been for so long that nobody should count on it."""
    due = state.risen_at + settings.sender_start_seconds - situation.now
    coming = max(0, state.wanted - situation.alive) if due > -settings.sender_start_seconds else 0
    return Crew(situation.alive, coming, max(0.0, due), settings.sender_start_seconds)


def _then(crew: Crew, found: Outlook, situation: Situation) -> Crew:
    """When the campaign begins."""
    return crew.after(max(0.0, found.work.begins - situation.now))


def _whole(senders: float, wanted: int) -> int:
    if wanted - 1 < senders <= wanted * TOLERANCE:
        return wanted
    return ceil(senders - _ROUNDING)


def _at_least(outlooks: Sequence[Outlook]) -> int:
    """One, as long as anything may be sent or is being sent: also where all lanes are shut, to notice that they open."""
    return 1 if any(found.work.mails for found in outlooks) else 0


def _late(found: Outlook, senders_seconds: float) -> float:
    if found.work.stopped:
        return inf
    seconds = max(found.limited_seconds, senders_seconds)
    return max(0.0, seconds - found.seconds) if seconds else 0.0


def _by_queue(outlooks: Sequence[Outlook], situation: Situation, settings: ScalingSettings, state: State) -> _Needed:
    """Nobody knows what a sender does: with many mails waiting one more, and another after each cooldown."""
    waiting = sum(found.work.mails for found in outlooks if not found.is_late_anyway)
    senders = _at_least(outlooks)
    if waiting > settings.queue_mails:
        there = min(state.wanted, situation.alive) if state.decided else situation.alive
        due = situation.now - state.risen_at >= settings.cooldown_seconds
        senders = max(senders, there + 1 if due else state.wanted)
    limited = [found for found in outlooks if found.is_late_anyway]
    return _Needed(senders, None, limited, {}, by_queue=True)


def _remember(needed: int, situation: Situation, settings: ScalingSettings, state: State) -> State:
    """More at once; fewer when no more were needed for a cooldown. After the first decision no fewer are wanted than there
    are."""
    now, bounded = situation.now, min(max(needed, settings.min_senders), settings.max_senders)
    before = state.needed if state.decided else ((now, min(situation.alive, settings.max_senders)),)
    lasting = [(at, senders) for at, senders in before if senders > bounded and now - at < settings.cooldown_seconds]
    wanted = min(max(lasting[0][1] if lasting else bounded, bounded), settings.max_senders)
    risen = now if wanted > state.wanted else state.risen_at
    return State(decided=True, wanted=wanted, risen_at=risen, needed=(*lasting, (now, bounded)))


def _reason(needed: _Needed, wanted: int, settings: ScalingSettings) -> Reason:
    if needed.senders > settings.max_senders:
        return "at_max"
    if needed.limited:
        return "provider_limited"
    if wanted > max(needed.senders, settings.min_senders):
        return "cooldown"
    if needed.senders == 0:
        return "idle"
    return "queue" if needed.by_queue else "deadline"
