"""How senders share a limit of connections: each leases some, for a few seconds at a time. Pure.

A sender that dies loses its connections at once and its lease a few seconds later. One that freezes keeps them open, as far as
anybody can know, for as long as it is frozen; when it goes on, it finds its lease lapsed and begins nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from sender.throttle.state import Lease, State

LEASE_SECONDS: Final = 8.0
RENEW_SECONDS: Final = 2.0


class Share(NamedTuple):
    """What a sender may do until it asks again."""

    slots: int
    """It may have so many connections; where it has more it ends what it does on them and begins nothing new."""
    until: float


def lease(state: State, me: str, wanted: int, busy: int, limit: int, now: float) -> tuple[State, Share]:
    """Renew the lease of a sender that could use `wanted` connections, and has `busy` in use, which it cannot give up at once.

    Who asks first gets what is free. Where somebody is short, who has more than an equal part goes down to it, and what is left
    over by equal parts goes round.
    """
    others = {name: held for name, held in state.leases.items() if held.until > now and name != me}
    wanted = max(wanted, busy)
    if not wanted:
        return msgspec.structs.replace(state, leases=others), Share(0, now)
    taken = sum(held.slots for held in others.values())
    equal, rest = divmod(limit, 1 + sum(1 for held in others.values() if held.wanted))
    short = any(held.slots < held.wanted for held in others.values()) or taken + busy > limit
    mine = state.leases[me].slots if me in state.leases and state.leases[me].until > now else 0
    part = equal if mine > equal or not rest else equal + 1
    share = Share(max(0, min(wanted, part if short else wanted, limit - taken)), now + LEASE_SECONDS)
    return msgspec.structs.replace(
        state, leases={**others, me: Lease(max(share.slots, busy), wanted, share.until)}
    ), share
