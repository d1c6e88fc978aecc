"""The ledger: where every recipient of a campaign is, and the identity that must hold."""

from __future__ import annotations

import msgspec


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients of one campaign, each counted in exactly one place.

        planned = accepted + bounced + failed + suppressed + expired + cancelled + in_doubt + queued + retrying

    A finished campaign has nothing queued and nothing retrying. `queued` is what nothing has been stated about yet: it is
    the difference, and a negative one says that something was stated twice.
    """

    planned: int = 0
    accepted: int = 0
    bounced: int = 0
    failed: int = 0
    suppressed: int = 0
    expired: int = 0
    cancelled: int = 0
    in_doubt: int = 0
    queued: int = 0
    retrying: int = 0

    @property
    def settled(self) -> int:
        """Recipients with a final outcome."""
        return (
            self.accepted + self.bounced + self.failed + self.suppressed + self.expired + self.cancelled + self.in_doubt
        )

    @property
    def balanced(self) -> bool:
        """Whether every recipient has exactly one final outcome."""
        return self.planned == self.settled and self.queued == 0 and self.retrying == 0

    @property
    def consistent(self) -> bool:
        """Whether the identity holds while the campaign runs."""
        return self.queued >= 0 and self.planned == self.settled + self.queued + self.retrying
