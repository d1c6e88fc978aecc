"""What a sender counted of one campaign and has not told, and what it knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from events.breaker import Health
from events.schemas import Campaign, CanaryRule
from sender.breaker.counting import Report, Tally
from sender.lanes import Held


class Followed:
    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.known = Health(campaign.id)
        self.tallies: dict[str, Tally] = {}
        self.holding = 0
        """Mails of the canary that it was granted and has not stated."""
        self.exhausted = False
        """The canary has no mails left, as far as is known here."""
        self.reports = 0
        self.untold: Report | None = None
        """A report whose answer is not known."""
        self.changed = False
        """Somebody else changed the document, or the last report may have been lost."""
        self.told_expired = False
        """Whoever waits for its lanes knows that its deadline has passed."""
        self.lock = asyncio.Lock()
        """Held while something is brought."""

    @property
    def canary(self) -> CanaryRule | None:
        """While it is not decided."""
        return self.campaign.canary if self.known.canary.passed_at is None else None

    def tally(self, lane: str) -> Tally:
        found = self.tallies.get(lane)
        if found is None:
            found = self.tallies[lane] = Tally()
        return found

    def used(self, held: Sequence[Held], tally: Tally) -> int:
        """The grants that these mails, which have an outcome now, used up."""
        if self.canary is None:
            return 0
        tried = sum(1 for one in held if one.mail.attempt == 1)
        tally.tried += tried
        self.holding -= tried
        return tried

    def report(self, sender: str, now: float) -> Report:
        """Everything that was not told, under a number that the same content keeps until it is known to have arrived."""
        if self.untold is None:
            self.reports += 1
            tallies, self.tallies = {lane: tally for lane, tally in self.tallies.items() if tally}, {}
            self.untold = Report(sender, self.reports, now, tallies)
        holding = self.holding + sum(tally.tried for tally in self.tallies.values())
        return msgspec.structs.replace(self.untold, at=now, holding=None if self.canary is None else holding)
