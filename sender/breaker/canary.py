"""The canary: the first mails of a campaign go, the others wait until those look well. Pure.

So many are tried as the rule says: senders are granted mails out of one number. For each that was put off, or that no session
took, another may be tried, up to as many again and never more. What a sender is granted and has not stated when it dies is lost
to the canary; its mails come again and wait with the others.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple, TypeAlias

import msgspec

from events.breaker import Canary, Health, Opening
from events.schemas import Campaign, CanaryRule
from sender.breaker.counting import noted
from sender.breaker.judging import ONCE, Limits, is_beyond, told


class Size(NamedTuple):
    mails: int
    final: bool
    """The audience was read to its end."""


class Pass(NamedTuple):
    """The rest may go."""


class Fail(NamedTuple):
    opening: Opening


Verdict: TypeAlias = Pass | Fail | None
"""None: not yet."""


def size_of(campaign: Campaign, rule: CanaryRule) -> Size:
    """The share of those planned, and at least the minimum: with less nothing could be said."""
    if campaign.planned is None:
        return Size(rule.minimum, final=False)
    return Size(min(campaign.planned, max(rule.minimum, ceil(rule.share * campaign.planned))), final=True)


def free(health: Health, size: Size) -> int:
    """How many mails may be granted still."""
    canary = health.canary
    put_off = max(0, canary.tried - canary.known)
    return max(0, size.mails + min(put_off, size.mails) - canary.tried - canary.lost - health.granted)


def grant(health: Health, sender: str, holding: int, wanted: int, size: Size, now: float) -> tuple[Health, int]:
    """Let the sender, which holds so many, try up to `wanted` more; says how many. Harmless to repeat."""
    note = health.senders.get(sender)
    before = noted(health, sender, note.report if note else 0, now, holding)
    granted = min(wanted, free(before, size))
    if granted == 0:
        return health, 0
    after = noted(before, sender, note.report if note else 0, now, holding + granted)
    return msgspec.structs.replace(after, canary=msgspec.structs.replace(after.canary, granted_at=now)), granted


def bury(health: Health, silent_since: float, size: Size) -> Health:
    """Senders that have been silent hold nothing any more. What they held is lost to the canary, unless that would leave less
    than half of it to judge by: then others may try as many."""
    dead = {name: note for name, note in health.senders.items() if note.grants and note.at < silent_since}
    if not dead:
        return health
    canary = health.canary
    lost = canary.lost + sum(note.grants for note in dead.values())
    alive = {name: note for name, note in health.senders.items() if name not in dead}
    if 2 * lost <= size.mails:
        canary = msgspec.structs.replace(canary, lost=lost)
    return msgspec.structs.replace(health, canary=canary, senders=alive)


def judge(health: Health, size: Size, limits: Limits, rule: CanaryRule, now: float) -> Verdict:
    """Whether the first mails look well, by what is known of them."""
    canary = health.canary
    all_known = size.final and health.granted == 0 and canary.tried + canary.lost >= size.mails
    if failed := _by_rates(canary, size, limits, now, all_known=all_known):
        return Fail(failed)
    if all_known and _most_known(canary, size):
        return Pass()
    all_granted = size.final and free(health, size) == 0
    if not all_granted or now - canary.granted_at < rule.wait_seconds:
        return None
    return Pass() if _most_known(canary, size) else Fail(_unknown(canary, rule, now))


def _most_known(canary: Canary, size: Size) -> bool:
    """As many as would be most of the canary, had none been put off."""
    return 2 * canary.known >= min(canary.tried, size.mails - canary.lost) and canary.known > 0


def _by_rates(canary: Canary, size: Size, limits: Limits, now: float, *, all_known: bool) -> Opening | None:
    mails = canary.accepted + canary.hard + canary.blocked
    if mails < min(limits.minimum_mails, size.mails) and not all_known:
        return None
    if limits.blocks is not None and is_beyond(canary.blocked, mails, limits.blocks, ONCE):
        words = told("blocks", canary.blocked, mails, limits.blocks)
        return _stopped(canary.blocked, mails, limits.blocks, words, now)
    if limits.hard_bounces is not None and is_beyond(canary.hard, mails, limits.hard_bounces, ONCE):
        words = told("hard_bounces", canary.hard, mails, limits.hard_bounces)
        return _stopped(canary.hard, mails, limits.hard_bounces, words, now)
    return None


def _unknown(canary: Canary, rule: CanaryRule, now: float) -> Opening:
    unknown = canary.tried - canary.known
    words = (
        f"{unknown:,} of {canary.tried:,} mails have no outcome {rule.wait_seconds / 60:g} minutes after the last was due:"
        " the servers put them off, or do not answer"
    )
    return _stopped(unknown, canary.tried, 0.5, words, now)


def _stopped(bad: int, mails: int, limit: float, words: str, now: float) -> Opening:
    return Opening(now, "canary", bad, mails, limit, f"the canary does not look well: {words}")
