"""What a simulator says about itself; the JSON of its control port."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jetpost.simulator import counts
from jetpost.simulator.counts import Counts


class SimulatorStats(msgspec.Struct, frozen=True, kw_only=True):
    messages: int
    """Mails taken, repeats included, one for each recipient."""
    unidentified: int
    """Of these, the ones without a mail id in their Message-ID."""
    bytes: int
    """Of all messages that arrived whole, taken or not."""
    connections: int
    """Opened so far."""
    open_connections: int
    by_provider: dict[str, int]
    """Mails taken, repeats included."""
    refused: dict[str, int]
    """Refusals by behaviour; `too-fast` and `too-many-connections` for what was more than a provider bears."""
    faults: dict[str, int]
    """Faults that struck."""
    accepted_file: str
    """Where the ids of the mails taken lie, 16 bytes each, repeats included."""
    accepted: int | None = None
    """Different mail ids taken; None where only the counters were asked for."""
    accepted_more_than_once: int | None = None


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running simulator listens."""

    smtp: int
    smtps: int | None
    control: int


def counters(current: Counts, open_connections: int) -> SimulatorStats:
    """What is known without looking at every id. The file of ids is complete up to here."""
    current.flush()
    return SimulatorStats(
        messages=current.messages,
        unidentified=current.unidentified,
        bytes=current.bytes,
        connections=current.connections,
        open_connections=open_connections,
        by_provider=dict(current.accepted_by_provider),
        refused={str(what): times for what, times in current.refused.items()},
        faults=dict(current.faults),
        accepted_file=str(current.path),
    )


def exact(stats: SimulatorStats) -> SimulatorStats:
    """The same with every id looked at. Blocks: about 1 µs per mail."""
    different, repeated = counts.tally(Path(stats.accepted_file))
    return msgspec.structs.replace(stats, accepted=different, accepted_more_than_once=repeated)
