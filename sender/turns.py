"""Whose turn it is among the lanes of a pool. Pure.

Higher classes go first; a class that was passed over `HIGHER_TURNS` times while it had mails gets one turn, so that nobody waits
for ever. Within a class campaigns share by weight, counted in mails that were taken: start-time fair queueing (Goyal, Vin and
Cheng, SIGCOMM 1996), where a campaign that had nothing to send for a while neither saves up turns nor has to make up for any.
The lanes of a campaign take turns. docs/decisions/0018-priority-and-schedule.md says why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

from events.schemas import PRIORITIES, Campaign

HIGHER_TURNS: Final = 19
"""So many turns of higher classes for one of a lower class that waits: it keeps a twentieth of the pool."""


class Taker(Protocol):
    """A lane, as far as its turn is concerned."""

    campaign: Campaign
    share: Share | None
    waiting: deque[Any]


T = TypeVar("T", bound=Taker)

_place = attrgetter("rank", "served", "turn")


class Share:
    """What a campaign has had of its class: its place in virtual time, which is mails divided by weight."""

    __slots__ = ("lanes", "rank", "served", "turn", "weight")

    def __init__(self, campaign: Campaign) -> None:
        self.rank = PRIORITIES.index(campaign.priority)
        self.weight = campaign.weight
        self.served = 0.0
        """Where its turns so far end."""
        self.turn = 0
        """The number of the newest of them."""
        self.lanes: deque[Any] = deque()
        """The one whose turn it is comes first."""

    def follow(self, campaign: Campaign) -> None:
        """The campaign may have been moved: what it had of another class counts for nothing in this one."""
        rank = PRIORITIES.index(campaign.priority)
        if rank != self.rank:
            self.rank, self.served = rank, 0.0
        self.weight = campaign.weight

    def charge(self, mails: int) -> None:
        """So many mails were taken in a turn; the first of them was charged when the turn was given."""
        self.served += (mails - 1) / self.weight

    def has_mails(self) -> bool:
        return any(lane.waiting for lane in self.lanes)


class Turns(Generic[T]):
    """The lanes, and the turns that were given so far."""

    def __init__(self) -> None:
        self._shares: list[Share] = []
        self._reached = [0.0 for _ in PRIORITIES]
        """Virtual time of each class: where the newest turn began."""
        self._passed_over = [0 for _ in PRIORITIES]
        self._given = 0

    def add(self, lane: T) -> None:
        share = next((one for one in self._shares if one.lanes[0].campaign.id == lane.campaign.id), None)
        if share is None:
            share = Share(lane.campaign)
            self._shares.append(share)
        share.lanes.append(lane)
        lane.share = share

    def remove(self, lane: T) -> None:
        share = lane.share
        assert share is not None, "only what was added is removed"
        lane.share = None
        share.lanes.remove(lane)
        if not share.lanes:
            self._shares.remove(share)

    def choose(self, is_ready: Callable[[T], bool]) -> T | None:
        """The lane whose turn it is among those that are ready; it counts as given. None: no lane is ready."""
        for share in self._in_order():
            lanes = share.lanes
            for _ in range(len(lanes)):
                lane: T = lanes[0]
                lanes.rotate(-1)
                if is_ready(lane):
                    self._give(share)
                    return lane
        return None

    def _in_order(self) -> Sequence[Share]:
        shares = self._shares
        if len(shares) == 1:
            return shares
        shares.sort(key=_place)
        due = {rank for rank, passed_over in enumerate(self._passed_over) if passed_over > HIGHER_TURNS}
        if due:  # all of them: the first may have only mails that cannot go now
            return [*(one for one in shares if one.rank in due), *(one for one in shares if one.rank not in due)]
        return shares

    def _give(self, share: Share) -> None:
        rank, shares = share.rank, self._shares
        start = self._reached[rank] = max(share.served, self._reached[rank])
        share.served = start + 1 / share.weight
        self._given += 1
        share.turn = self._given
        self._passed_over[rank] = 0
        if shares[-1].rank > rank:  # in order: some are of a lower class
            for lower in {one.rank for one in shares if one.rank > rank and one.has_mails()}:
                self._passed_over[lower] += 1
