"""How much chaos: quick for every change, full for the published table."""

from __future__ import annotations

from typing import Any

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    seed: int = 1
    runs: int = 1
    """Of each fault."""
    mails: int = 3_000
    """In each run."""
    ack_wait_seconds: float = 10.0
    """After this long a dead worker's mails go to another. Shorter than in production, because every kill waits for it."""
    senders: int = 2
    producers: int = 2
    connections: int = 10
    """Of each sender."""
    pipeline_depth: int = 16
    strikes: int = 1
    """In one run, at most."""

    seconds: float = 15.0
    """That the mails of a run take at least, on hosts: there the fault lasts, and most of a campaign should be sent meanwhile."""
    hosts: bool = True
    """Faults of hosts, too."""
    together: bool = False
    """Several stacks at the same time, as there is more waiting than work."""
    keep: bool = False
    """Keep the folders of runs in which every promise was kept, too."""

    @property
    def wire(self) -> int:
        """Mails that may be on the wire of one sender: what a kill may leave in doubt."""
        return self.connections * self.pipeline_depth

    @property
    def rate(self) -> float:
        """Mails a second, where they are limited."""
        return self.mails / self.seconds

    @property
    def batch_size(self) -> int:
        return max(50, self.mails // 12)

    def with_changes(self, **changes: Any) -> Options:  # noqa: ANN401 - options are of many types
        """Those that are not None replace what is here."""
        return msgspec.structs.replace(self, **{name: value for name, value in changes.items() if value is not None})


USUAL = Options()
QUICK = Options(mails=1_000, ack_wait_seconds=6.0, connections=4, hosts=False, together=True)
FULL = Options(runs=10, mails=30_000, ack_wait_seconds=15.0, connections=20, strikes=3)
